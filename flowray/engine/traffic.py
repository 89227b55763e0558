"""What a run's connections to other hosts may use in all: kept by the run, lent to its steps, settled by what is told.

No byte is lent twice: however many steps of a run are at work, on however many machines, together they use what the run
may. A step is lent its part of what is left; as much is kept back for each step that may come to run beside it. What it
did not use comes back when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from dataclasses import field as _field

from flowray.engine.events import ConnectionEnded
from flowray.engine.growing import Growing
from flowray.engine.wiring import StepSet
from flowray.plan.types import StepId


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """Connections at a time, connections in all, and the bytes of all of them: those of a run, or a step's part."""

    open: int = 32
    connections: int = 1000
    up_bytes: int = 256 << 20
    down_bytes: int = 1 << 30

    def part(self, parts: int) -> Traffic:
        """Return one of so many equal parts."""
        return Traffic(**{name: max(getattr(self, name), 0) // parts for name in _NAMES})

    def less(self, other: Traffic) -> Traffic:
        """Return what is left without that; below nothing when more was used than there was."""
        return Traffic(**{name: getattr(self, name) - getattr(other, name) for name in _NAMES})

    def more(self, other: Traffic) -> Traffic:
        """Return both together."""
        return Traffic(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Traffic))


@dataclass(frozen=True, kw_only=True, slots=True)
class Purse:
    """What a run has left, and what its steps have of it. `past` are steps that had a part, or will need none."""

    left: Traffic
    lent: Growing[StepId, Traffic | None] = _field(default_factory=Growing)
    past: StepSet = 0

    def lend(self, step: StepId, *, own: StepSet, beside: StepSet) -> tuple[Purse, Traffic]:
        """Give a step its part. `own` is its bit, `beside` are the steps that may run while it does."""
        purse = self.returned(step)
        part = purse.left.part(1 + (beside & ~purse.past).bit_count())
        return Purse(left=purse.left.less(part), lent=purse.lent.with_({step: part}), past=purse.past | own), part

    def used(self, ended: ConnectionEnded) -> Purse:
        """Count a connection of a step."""
        used = Traffic(open=0, connections=1, up_bytes=ended.up_bytes, down_bytes=ended.down_bytes)
        part = self.lent.get(ended.step)
        if part is None:
            return replace(self, left=self.left.less(used))
        return replace(self, lent=self.lent.with_({ended.step: part.less(used)}))

    def returned(self, step: StepId) -> Purse:
        """Take back what a step has left of its part: it is over, or begins anew."""
        part = self.lent.get(step)
        if part is None:
            return self
        return replace(self, left=self.left.more(part), lent=self.lent.with_({step: None}))

    def without(self, steps: StepSet) -> Purse:
        """Keep nothing back for these: they are over."""
        return replace(self, past=self.past | steps)
