"""Server-sent events, read line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One event: its id, its kind and its text."""

    id: str
    event: str
    data: str


class FrameReader:
    """Collects lines until a frame is whole; comments, which keep a connection alive, are skipped."""

    def __init__(self) -> None:
        self._fields: dict[str, list[str]] = {}

    def feed(self, line: str) -> Frame | None:
        """Take one line without its end; a frame when this line completed one."""
        if line:
            name, _, value = line.partition(":")
            if name:
                self._fields.setdefault(name, []).append(value.removeprefix(" "))
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        return Frame(id=_last(fields, "id"), event=_last(fields, "event"), data="\n".join(fields["data"]))


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """The frames in `lines`."""
    reader = FrameReader()
    for line in lines:
        frame = reader.feed(line)
        if frame is not None:
            yield frame


def _last(fields: dict[str, list[str]], name: str) -> str:
    return fields[name][-1] if name in fields else ""
