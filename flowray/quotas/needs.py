"""What a step takes of its pool: what its components declared, or else what the pool says a step takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowray.component.spec import Needs
from flowray.quotas.amounts import Amounts

_WEIGHT, _LIGHTEST, _HEAVIEST = 100, 1, 1_000
# From so many steps per weight on, a tenant's steps yield to those of others, the more the more it runs, up to so much.
_MANY, _YIELD = 4, 4


@dataclass(frozen=True, kw_only=True)
class StepSize:
    """A step that declares nothing, in one pool."""

    cpu: float = 1.0
    memory_mib: int = 512


def amounts_of(needs: Needs, size: StepSize) -> Amounts:
    """What is held for a step while it runs."""
    return Amounts(
        steps=1,
        cpu_m=math.ceil((needs.cpu or size.cpu) * 1000),
        memory_mib=max(needs.memory_mib, size.memory_mib),  # what its sandbox is held to
        gpu_m=math.ceil(needs.gpu * 1000),
    )


def cpu_weight(load: float) -> int:
    """What a step's processes weigh against others on their machine, when its tenant runs so many steps per weight.

    A tenant that floods a pool is thereby no heavier on a core than one that runs a single step. It is lighter even: a
    single step is on one core only, and the flood on all of them.
    """
    yielding = min(max(load / _MANY, 1), _YIELD)
    return max(_LIGHTEST, min(_HEAVIEST, round(_WEIGHT / max(load * yielding, 0.001))))
