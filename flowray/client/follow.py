"""Following a run over connections that break: what was seen last, and when to give up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from flowray.client.errors import AWAY, ServiceUnreachableError
from flowray.client.sse import Frame
from flowray.engine.codec import decode
from flowray.engine.events import Recorded, RunFinished, RunStatus
from flowray.errors import FlowRayError

_TRIES_WITHOUT_PROGRESS = 8
_LONGEST_WAIT_S = 5.0
_OVER = frozenset(get_args(RunStatus))


class Follower:
    """Where a reader of one run's journal stands. `over` once the run's last event was taken."""

    def __init__(self, *, after: int) -> None:
        self.over = False
        self.last_cause: FlowRayError = ServiceUnreachableError("The service closed the stream before the run's end.")
        self._last = after
        self._tries = 0
        self._is_told = False

    @property
    def headers(self) -> dict[str, str]:
        """What makes the service continue after the last event taken."""
        return {"last-event-id": str(self._last), "accept": "text/event-stream"}

    def begin(self) -> None:
        """A connection is made."""
        self._is_told = False

    @property
    def is_told_nothing(self) -> bool:
        """Whether a stream that the service ended in order had no event: nothing follows on the last one taken."""
        return not (self._is_told or self.over)

    def settle(self, status: Mapping[str, Any]) -> None:
        """Take what the service says of the run itself."""
        self.over = status["status"] in _OVER

    def take(self, frame: Frame) -> Recorded:
        """The event in `frame`."""
        recorded = decode(frame.data.encode())
        self._last = recorded.seq
        self._tries = 0
        self._is_told = True
        self.over = isinstance(recorded.event, RunFinished)
        return recorded

    def ended(self, cause: FlowRayError) -> None:
        """A connection broke, or none was made: raises when another one would end no better."""
        if cause.status not in AWAY:
            raise cause
        self.last_cause = cause

    def wait_s(self) -> float:
        """How long to wait before the next connection; raises when too many brought nothing."""
        self._tries += 1
        if self._tries > _TRIES_WITHOUT_PROGRESS:
            raise self.last_cause
        return min(_LONGEST_WAIT_S, 0.1 * 2.0**self._tries)
