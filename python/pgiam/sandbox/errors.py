"""What goes wrong with the sandbox itself, each with what to do about it."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox cannot start, or cannot do what it was asked. `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.hint = hint
