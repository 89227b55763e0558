"""Fuse pieces into steps: a hop costs milliseconds, so a cut has to buy something.

A piece joins a step when both run in the same kind of place, when the step starts no later with it than without it, and
when whoever waits for the step waits for the piece as well. So fusing holds nothing up, and no step waits for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowray.component.spec import Needs
from flowray.plan.pieces import Piece
from flowray.plan.types import Fusion

_Place = tuple[str, float, int, float]
# Flows settle after two or three; what is left unsettled is a cut too few or too many, never a wrong plan.
_ROUNDS = 4


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
    """A step to be: its pieces (by index), and as bits the steps that end before it starts.

    `leads` are, as bits, the pieces behind it that start a step of their own: all of the step's pieces lead to them.
    `beside` is the piece of other heavy work that this step was cut off to run beside.
    """

    pieces: list[int] = field(default_factory=list)
    before: int
    leads: int
    place: _Place
    alone: bool = False
    beside: int | None = None


def fused(pieces: Sequence[Placed], fusion: Fusion) -> list[Fused]:
    """Return the steps in topological order."""
    beside = _beside(pieces) if fusion == "auto" else {}
    openers: frozenset[int] = frozenset()
    steps: list[Fused] = []
    # Which pieces start a step decides what may be fused before them, and that may make others start one.
    for _ in range(_ROUNDS):
        steps = _fused_once(pieces, fusion, beside, _leads(pieces, openers))
        found = openers | {step.pieces[0] for step in steps if step.before}
        if fusion == "none" or found == openers:
            break
        openers = found
    return steps


def _fused_once(
    pieces: Sequence[Placed], fusion: Fusion, beside: Mapping[int, int], leads: Sequence[int]
) -> list[Fused]:
    steps: list[Fused] = []
    step_of: list[int] = []
    first_of: dict[tuple[_Place, int, int], int] = {}
    for index, placed in enumerate(pieces):
        sources = {step_of[piece] for piece in placed.piece.before}
        before = 0
        for source in sources:
            before |= steps[source].before | 1 << source
        own = fusion == "none" or placed.needs.alone or index in beside
        new = Fused(
            before=before,
            leads=leads[index],
            place=placed.place,
            alone=placed.needs.alone,
            beside=beside.get(index),
        )
        home = None if own else _home(new, sources, steps)
        if home is None and not own:
            home = first_of.setdefault((new.place, before, new.leads), len(steps))
        if home is None or home == len(steps):
            home = len(steps)
            steps.append(new)
        steps[home].pieces.append(index)
        step_of.append(home)
    return steps


def _home(new: Fused, sources: set[int], steps: Sequence[Fused]) -> int | None:
    """Return the step among a piece's sources that already waits for all the others."""
    for source in sorted(sources, reverse=True):
        step = steps[source]
        alike = step.place == new.place and step.leads == new.leads and not step.alone
        if alike and not new.before & ~(step.before | 1 << source):
            return source
    return None


def _leads(pieces: Sequence[Placed], openers: frozenset[int]) -> list[int]:
    leads = [0] * len(pieces)
    for index in reversed(range(len(pieces))):
        own = leads[index] | (1 << index if index in openers else 0)
        for source in pieces[index].piece.before:
            leads[source] |= own
    return leads


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
