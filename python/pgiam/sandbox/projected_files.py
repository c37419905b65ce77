"""Identity tokens in files, replaced as a kubelet replaces them: in one step, before they end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pgiam.sandbox import jwt
from pgiam.sandbox.clock import Clock

# kubelet renews when 80 % of the lifetime have passed.
# https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#launch-a-pod-using-service-account-token-projection
RENEWED_AFTER: Final = 0.8


@dataclass
class ProjectedFile:
    path: Path
    mint: Callable[[], str] = field(repr=False)
    renew_at: float = 0.0


class ProjectedFiles:
    """A private folder; whoever made it removes it. Thread-safe: the renewal meets the control operations."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._files: dict[Path, ProjectedFile] = {}

    def project(self, name: str, mint: Callable[[], str]) -> Path:
        """Keep a fresh token in the file from now on."""
        file = ProjectedFile(self.folder / name, mint)
        with self._lock:
            self._files[file.path] = file
            self._renew(file)
        return file.path

    def store(self, name: str, text: str, *, mode: int = 0o600) -> Path:
        path = self.folder / name
        with self._lock:
            replace(path, text, mode)
        return path

    def renew(self, *, all_of_them: bool = False) -> int:
        """Rewrite the files that are due; returns how many."""
        now = self._clock.now()
        with self._lock:
            due = [file for file in self._files.values() if all_of_them or file.renew_at <= now]
            for file in due:
                self._renew(file)
        return len(due)

    def _renew(self, file: ProjectedFile) -> None:
        token = file.mint()
        claims = jwt.parse(token).claims
        replace(file.path, token, 0o600)
        remaining: float = RENEWED_AFTER * (claims["exp"] - claims["iat"])
        file.renew_at = self._clock.now() + remaining


def replace(path: Path, text: str, mode: int) -> None:
    """Write beside the target and rename, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
