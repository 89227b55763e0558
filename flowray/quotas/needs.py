"""What a step takes of its pool: what its components declared, or else what the pool says a step takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowray.component.spec import Needs
from flowray.quotas.amounts import Amounts

_WEIGHT, _LIGHTEST, _HEAVIEST = 100, 1, 1_000


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

    A tenant that floods a pool is thereby not heavier on a core than one that runs a single step.
    """
    return max(_LIGHTEST, min(_HEAVIEST, round(_WEIGHT / max(load, 0.001))))
