"""The doctor's report on a terminal: aligned, at most 80 columns or so, and plain where it is no terminal."""

from __future__ import annotations

import os
import shutil
import textwrap
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from pgiam import Diagnosis

_MARKS: Final = {"ok": "ok", "warning": "warn", "failure": "FAIL", "skipped": "-"}
_STYLES: Final = {"ok": "32", "warning": "33", "failure": "1;31", "skipped": "2"}
_DIM: Final = "2"
_BOLD: Final = "1"
# mark, stage: " FAIL  credentials  "
_TITLE_AT: Final = 20
_WITH_GIST: Final = ("credentials", "endpoint", "dns", "tls", "session")
# Far to the left, because an ARN is long.
_SNIPPET_AT: Final = 4
_WIDEST: Final = 100


class Report:
    """Writes diagnoses as they come."""

    def __init__(self, out: TextIO, *, verbose: bool) -> None:
        self._out = out
        self._verbose = verbose
        is_terminal = out.isatty()
        self._is_live = is_terminal and os.environ.get("TERM") != "dumb"
        self._has_colour = self._is_live and not os.environ.get("NO_COLOR")
        columns = shutil.get_terminal_size((80, 24)).columns if is_terminal else 80
        self._width = max(60, min(columns, _WIDEST)) - 1
        self._pending = False

    def begin(self, user: str | None, host: str | None, port: int | None) -> None:
        user, host = user or os.environ.get("PGUSER"), host or os.environ.get("PGHOST")
        port_text = port or os.environ.get("PGPORT") or 5432
        if host:
            self._line(self._styled(f"{user or '(no user)'}@{host}:{port_text}", _BOLD))
            self._line("")

    def waiting(self, stage: str) -> None:
        """A line that the diagnosis will replace; only where lines can be replaced."""
        if self._is_live:
            self._out.write(self._styled(f" ...   {stage}", _DIM))
            self._out.flush()
            self._pending = True

    def no_longer_waiting(self) -> None:
        if self._pending:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._pending = False

    def show(self, diagnosis: Diagnosis) -> None:
        self.no_longer_waiting()
        style = _STYLES[diagnosis.status]
        is_problem = diagnosis.status in ("warning", "failure")
        mark = self._styled(f"{_MARKS[diagnosis.status]:4}", style)
        title = self._wrapped(diagnosis.title, _TITLE_AT)
        first = title[0].strip() if title else ""
        shown_first = self._styled(first, style) if diagnosis.status != "ok" else first
        self._line(f" {mark}  {diagnosis.stage:11}  {shown_first}")
        for line in title[1:]:
            self._line(self._styled(line, style))
        for seen in diagnosis.detail if is_problem or self._verbose else _gist(diagnosis):
            for line in self._wrapped(seen, _TITLE_AT, hanging=2):
                self._line(self._styled(line, _DIM))
        if is_problem:
            self._advise(diagnosis)
        self._out.flush()

    def end(self, first_failure: Diagnosis | None) -> None:
        self._line("")
        if first_failure is None:
            self._line(self._styled("The login works.", _STYLES["ok"]))
            return
        text = f"Failed at {first_failure.stage}: {first_failure.title} ({first_failure.name})."
        for line in self._wrapped(text, 0):
            self._line(self._styled(line, _STYLES["failure"]))

    def _advise(self, diagnosis: Diagnosis) -> None:
        for label, text in (("why", diagnosis.why), ("do", diagnosis.fix)):
            if not text:
                continue
            first, *rest = self._wrapped(text, _TITLE_AT)
            self._line(f"{self._styled(label.rjust(_TITLE_AT - 2), _BOLD)}  {first.strip()}")
            for line in rest:
                self._line(line)
        for label, text in diagnosis.snippets:
            self._line("")
            self._line(" " * _SNIPPET_AT + self._styled(f"{label}:", _DIM))
            # Not wrapped: it is there to be copied.
            for line in text.splitlines():
                self._line(" " * _SNIPPET_AT + line)
        self._line("")

    def _wrapped(self, text: str, indent: int, hanging: int = 0) -> list[str]:
        space = " " * indent
        return textwrap.wrap(
            text,
            self._width,
            initial_indent=space,
            subsequent_indent=space + " " * hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._has_colour else text

    def _line(self, text: str) -> None:
        self._out.write(text + "\n")


def _gist(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Where all is well, one line says enough; --verbose has the others."""
    return diagnosis.detail[:1] if diagnosis.stage in _WITH_GIST else ()
