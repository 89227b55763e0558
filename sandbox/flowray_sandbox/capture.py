"""What component code prints becomes log events, bounded in number and size.

The descriptors 1 and 2 themselves lead nowhere: only Python's own streams are heard.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from flowray_sandbox.channel import FLUSH_S
from flowray_sandbox.large import TOLD_CHARS
from flowray_sandbox.report import Report, running_node

LIMIT_CHARS = 1 << 20
_GATHER_S = 0.05
_GATHER_CHARS = 8 << 10
# So many flushes in a row are obeyed at once; those of a loop that goes on flushing, once in each time of gathering.
_FLUSHES = 50


class Printed(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`.

    A line after a moment of silence is sent at once: what its code does next may hang, or end the process. Those that
    follow are gathered for a moment: a loop that prints must not cost an event per line.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._report: Report | None = None
        self._guard = threading.RLock()
        self._lines: list[str] = []
        self.gathered = 0
        self._left = LIMIT_CHARS
        self._node = ""
        self._next_at = 0.0
        self._planned = False
        self.buffer = _Bytes(self)

    def print_into(self, report: Report) -> None:
        """From now on report here; what was planned on the loop of another report will not come."""
        self._report = report
        self._planned = False

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
        """Send what is gathered now; too often in a row, it is sent soon, as it would be without."""
        if self.gathered:
            with self._guard:
                self._tell_now(ahead=_FLUSHES)

    def tell_all(self) -> None:
        """Report what is gathered."""
        with self._guard:
            self.tell()

    def tell(self, within_s: float = FLUSH_S) -> int:
        """Report what is gathered; the number of characters."""
        # At once, since a finaliser may print at any moment from here on.
        lines, self._lines, count, self.gathered = self._lines, [], self.gathered, 0
        text = "".join(lines)
        if text and self._report is not None:
            _tell(self._report, self._node, text.removesuffix("\n"), stream=self._name, within_s=within_s)
        return count

    def _take(self, text: str) -> None:
        kept = text[: self._left]
        if not kept:
            return
        self._left -= len(kept)
        self._lines.append(kept)
        self.gathered += len(kept)
        if self._left == 0:
            self._lines.append(f"\n[more than {LIMIT_CHARS} characters; the rest is dropped]")
            self.tell(within_s=0)
        elif self.gathered >= _GATHER_CHARS:
            self.tell(within_s=0)
        elif kept.endswith("\n"):
            self._tell_now()
        if self._lines and not self._planned and self._report is not None:
            self._planned = True
            self._report.later(_GATHER_S, self._tell_planned)

    def _tell_now(self, *, ahead: int = 0) -> None:
        """Send what is gathered if it is time to, or if no more than `ahead` times would come before their time."""
        now = self._clock()
        if now >= self._next_at - ahead * _GATHER_S:
            self._next_at = max(self._next_at, now) + _GATHER_S
            self.tell(within_s=0)

    def _tell_planned(self) -> None:
        with self._guard:
            self._planned = False
            self.tell(within_s=0)


def _tell(report: Report, node: str, text: str, *, stream: str, within_s: float) -> None:
    """Report a text in as many logs as it takes."""
    report.log(node, text[:TOLD_CHARS], stream=stream, within_s=within_s)
    for at in range(TOLD_CHARS, len(text), TOLD_CHARS):
        report.log(node, text[at : at + TOLD_CHARS], stream=stream, within_s=within_s)


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

    def flush(self) -> None:
        self._text.flush()


# Made before the fork; each child has its own copies.
_OUT, _ERR = Printed("stdout"), Printed("stderr")


def capture(report: Report) -> None:
    """From now on the process prints into the report."""
    _OUT.print_into(report)
    _ERR.print_into(report)
    sys.stdout, sys.stderr = _OUT, _ERR


def tell_rest() -> None:
    """Report what was printed last."""
    for stream in (_OUT, _ERR):
        if stream.gathered:
            stream.tell_all()
