"""What one sandbox may use: numbers that become its rlimits and its control group, and the wall limit kept outside."""

from __future__ import annotations

import math
from dataclasses import dataclass

# To the kernel, a level of niceness is worth a quarter more or less of a core.
_LEVEL, _NICEST = 1.25, 19
# Without control groups nothing else keeps sandboxes from weighing as much as whoever looks after them.
_BELOW_SERVICE = 3


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The defaults suit a flow that calls models; a pool or a component lowers or raises them.

    `cores` is what it may take of the processors at any moment; 0 is a share of what there is. `cpu_weight` is what it
    weighs against others when there are not enough of them.
    """

    wall_s: float = 300.0
    memory_mib: int = 512
    cpu_s: int = 300
    open_files: int = 256
    processes: int = 64
    cores: float = 0.0
    cpu_weight: int = 100
    file_mib: int = 64


def niceness(cpu_weight: int) -> int:
    """The niceness that makes a process weigh so much against others; 100 is a step that runs alone."""
    levels = math.log(100 / max(cpu_weight, 1)) / math.log(_LEVEL)
    return min(_NICEST, max(0, round(levels) + _BELOW_SERVICE))
