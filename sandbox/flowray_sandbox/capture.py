"""What component code prints becomes log events, bounded in number and size.

The descriptors 1 and 2 themselves lead nowhere: only Python's own streams are heard.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from typing import Any

from flowray_sandbox.large import TOLD_CHARS
from flowray_sandbox.report import Report, running_node

LIMIT_CHARS = 1 << 20
_GATHER_S = 0.05
_GATHER_CHARS = 8 << 10


class Printed(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`.

    Lines are gathered for a moment: a loop that prints must not cost an event per line.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.report: Report | None = None
        self._guard = threading.RLock()
        self._lines: list[str] = []
        self.gathered = 0
        self._left = LIMIT_CHARS
        self._node = ""
        self._since = 0.0
        self.buffer = _Bytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        """What a text stream says of itself."""
        return "utf-8"

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take the text; past the limit it is counted as written and dropped."""
        with self._guard:
            node = running_node.get()
            if node != self._node:
                self.tell()
                self._node = node
            self._take(text)
        return len(text)

    def flush(self) -> None:
        """Nothing to do: what is gathered is told soon, and in order."""

    def tell_all(self) -> None:
        """Report what is gathered."""
        with self._guard:
            self.tell()

    def tell(self) -> int:
        """Report what is gathered; the number of characters."""
        count, text = self.gathered, "".join(self._lines)
        self._lines.clear()
        self.gathered = 0
        if text and self.report is not None:
            _tell(self.report, self._node, text.removesuffix("\n"), stream=self._name)
        return count

    def _take(self, text: str) -> None:
        kept = text[: self._left]
        if not kept:
            return
        self._left -= len(kept)
        if not self._lines:
            self._since = time.monotonic()
        self._lines.append(kept)
        self.gathered += len(kept)
        if self._left == 0:
            self._lines.append(f"\n[more than {LIMIT_CHARS} characters; the rest is dropped]")
            self.tell()
        elif self.gathered >= _GATHER_CHARS or time.monotonic() - self._since >= _GATHER_S:
            self.tell()


def _tell(report: Report, node: str, text: str, *, stream: str) -> None:
    """Report a text in as many logs as it takes."""
    report.log(node, text[:TOLD_CHARS], stream=stream)
    for at in range(TOLD_CHARS, len(text), TOLD_CHARS):
        report.log(node, text[at : at + TOLD_CHARS], stream=stream)


class _Bytes(io.RawIOBase):
    """The stream beneath, for code that writes bytes."""

    def __init__(self, text: Printed) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        raw = bytes(content)
        self._text.write(raw.decode(errors="replace"))
        return len(raw)


# Made before the fork; each child has its own copies.
_OUT, _ERR = Printed("stdout"), Printed("stderr")


def capture(report: Report) -> None:
    """From now on the process prints into the report."""
    _OUT.report = _ERR.report = report
    sys.stdout, sys.stderr = _OUT, _ERR


def tell_rest() -> None:
    """Report what was printed last."""
    for stream in (_OUT, _ERR):
        if stream.gathered:
            stream.tell_all()
