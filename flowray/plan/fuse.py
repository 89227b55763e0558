"""Fuse pieces into steps: a hop costs milliseconds, so a cut has to buy something.

A piece joins a step when the step starts no later with it than without it, and both run in the same kind of place. So
fusing holds up no step's start, and no step can come to wait for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowray.component.spec import Needs
from flowray.plan.pieces import Piece
from flowray.plan.types import Fusion

_Place = tuple[str, float, int, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A piece with the pool it runs in and what it needs there."""

    piece: Piece
    pool: str
    needs: Needs

    @property
    def place(self) -> _Place:
        """Pieces of the same place lose nothing by sharing a sandbox."""
        return (self.pool, self.needs.cpu, self.needs.memory_mib, self.needs.gpu)


@dataclass(kw_only=True, slots=True)
class Fused:
    """A step to be: its pieces (by index), the steps that end before it starts (as bits), and whether more may join.

    `beside` is the piece of other heavy work that this step was cut off to run beside.
    """

    pieces: list[int] = field(default_factory=list)
    before: int
    place: _Place
    alone: bool = False
    beside: int | None = None


def fused(pieces: Sequence[Placed], fusion: Fusion) -> list[Fused]:
    """Return the steps in topological order."""
    steps: list[Fused] = []
    step_of: list[int] = []
    first_of: dict[tuple[_Place, int], int] = {}
    beside = _beside(pieces)
    for index, placed in enumerate(pieces):
        sources = {step_of[piece] for piece in placed.piece.before}
        before = 0
        for source in sources:
            before |= steps[source].before | 1 << source
        own = fusion == "none" or placed.needs.alone or index in beside
        home = None if own else _home(placed.place, sources, before, steps)
        if home is None and not own:
            home = first_of.get((placed.place, before))
        if home is None:
            home = len(steps)
            steps.append(
                Fused(before=before, place=placed.place, alone=placed.needs.alone, beside=beside.get(index)),
            )
            if not own:
                first_of[placed.place, before] = home
        steps[home].pieces.append(index)
        step_of.append(home)
    return steps


def _home(place: _Place, sources: set[int], before: int, steps: Sequence[Fused]) -> int | None:
    """Return the step among a piece's sources that already waits for all the others."""
    for source in sorted(sources, reverse=True):
        step = steps[source]
        if step.place == place and not step.alone and not before & ~(step.before | 1 << source):
            return source
    return None


def _beside(pieces: Sequence[Placed]) -> dict[int, int]:
    """Return the heavy pieces that could run at the same time as another heavy one, with one such each."""
    heavy = [index for index, placed in enumerate(pieces) if placed.needs.heavy]
    if len(heavy) < 2:  # noqa: PLR2004  # it takes two to run side by side
        return {}
    related = _related([placed.piece.before for placed in pieces])
    everyone = sum(1 << index for index in heavy)
    free = {index: everyone & ~(related[index] | 1 << index) for index in heavy}
    return {index: (bits & -bits).bit_length() - 1 for index, bits in free.items() if bits}


def _related(before: Sequence[tuple[int, ...]]) -> list[int]:
    """Return for each piece, as bits, the pieces that run before it and those that run after it."""
    above, below = [0] * len(before), [0] * len(before)
    for index, sources in enumerate(before):
        for source in sources:
            above[index] |= above[source] | 1 << source
    for index in reversed(range(len(before))):
        for source in before[index]:
            below[source] |= below[index] | 1 << index
    return [up | down for up, down in zip(above, below, strict=True)]
