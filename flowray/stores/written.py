"""What a process has written of the runs that it drives, so that nobody has to read it back at their end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from flowray.engine.events import Recorded, RunFinished, RunId, RunPaused

# Of so many runs, and so many events of each; more is read back.
_RUNS, _EVENTS = 4_096, 20_000


class Written:
    """The events of runs that are not over, as they are appended."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, RunId], dict[int, Recorded]] = OrderedDict()

    def add(self, tenant: str, events: Sequence[Recorded]) -> Sequence[Recorded]:
        """Note events; what is known of their run, whole when its first is there and no number is left out.

        Nothing more is kept of a run that ends or waits.
        """
        key, last = (tenant, events[0].run), events[-1].event
        known = self._runs.setdefault(key, {})
        known.update((one.seq, one) for one in events[-_EVENTS:])
        self._runs.move_to_end(key)
        if isinstance(last, RunFinished | RunPaused) or len(known) > _EVENTS:
            del self._runs[key]
        elif len(self._runs) > _RUNS:
            self._runs.popitem(last=False)
        return _in_order(known) if isinstance(last, RunFinished) else ()


def is_whole(recorded: Sequence[Recorded]) -> bool:
    """Whether these are all the events of a run up to their last."""
    return bool(recorded) and recorded[-1].seq == len(recorded)


def _in_order(known: dict[int, Recorded]) -> Sequence[Recorded]:
    return [known[seq] for seq in sorted(known)]
