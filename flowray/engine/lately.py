"""What was written of a run, kept by whoever drives it: a store that was emptied or started again has lost some."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from flowray.engine.codec import encode
from flowray.engine.events import Recorded

# All of a run is kept up to so much. Of a run beyond it, which an emptied store has lost, only what a store that was
# started again may have lost: its last seconds.
_MOST_EVENTS, _MOST_BYTES = 20_000, 32 * 1024 * 1024
_LAST_EVENTS = 2_000


class Lately:
    """The events of one run that were written."""

    def __init__(self, past: Sequence[Recorded] = ()) -> None:
        self._events: deque[Recorded] = deque()
        self._bytes = 0
        self.add(past)

    def __bool__(self) -> bool:
        return bool(self._events)

    @property
    def last(self) -> Recorded:
        """The one that was written last."""
        return self._events[-1]

    def add(self, events: Sequence[Recorded]) -> None:
        """They are written."""
        self._events.extend(events)
        if len(self._events) <= _LAST_EVENTS:
            return  # most runs end before it is worth measuring them
        self._bytes += sum(len(encode(one)) for one in (events if self._bytes else self._events))
        if len(self._events) > _MOST_EVENTS or self._bytes > _MOST_BYTES:
            self._events = deque(self._events, _LAST_EVENTS)

    def after(self, seq: int) -> Sequence[Recorded]:
        """All that was written after the event with this number; nothing where not all of it is kept."""
        kept = [one for one in self._events if one.seq > seq]
        return kept if kept and kept[0].seq == seq + 1 else ()
