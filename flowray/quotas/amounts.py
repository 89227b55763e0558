"""How much of a cluster something takes: whole numbers, so that what was taken and given back adds up to nothing."""

from __future__ import annotations

from typing import NamedTuple

# More than any cluster has, and still exact where numbers are doubles (Lua's are).
UNLIMITED = 2**53 - 1
_EXTRA = 4


class Amounts(NamedTuple):
    """Steps, thousandths of a core, MiB of memory, thousandths of a GPU."""

    steps: int = 0
    cpu_m: int = 0
    memory_mib: int = 0
    gpu_m: int = 0

    def plus(self, other: Amounts) -> Amounts:
        """Both together."""
        return Amounts(
            self.steps + other.steps,
            self.cpu_m + other.cpu_m,
            self.memory_mib + other.memory_mib,
            self.gpu_m + other.gpu_m,
        )

    def minus(self, other: Amounts) -> Amounts:
        """What is left without the other."""
        return Amounts(
            self.steps - other.steps,
            self.cpu_m - other.cpu_m,
            self.memory_mib - other.memory_mib,
            self.gpu_m - other.gpu_m,
        )

    def fits(self, taken: Amounts, limit: Amounts) -> bool:
        """Whether this can be taken as well without passing the limit."""
        return (
            self.steps + taken.steps <= limit.steps
            and self.cpu_m + taken.cpu_m <= limit.cpu_m
            and self.memory_mib + taken.memory_mib <= limit.memory_mib
            and self.gpu_m + taken.gpu_m <= limit.gpu_m
        )


NOTHING = Amounts()


def stretched(steps: int) -> int:
    """How many steps a pool of so many runs at the very most: the rest is for tenants that have few there."""
    return steps + steps // _EXTRA


def dominant(need: Amounts, capacity: Amounts) -> float:
    """The largest part that a need is of a capacity; what nobody has a capacity of does not count."""
    largest = 0.0
    for wanted, there_is in zip(need, capacity, strict=True):
        if 0 < there_is < UNLIMITED:
            largest = max(largest, wanted / there_is)
    return largest
