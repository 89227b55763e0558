"""What a tenant may have at most, and how much its turn weighs."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowray.quotas.amounts import UNLIMITED, Amounts


@dataclass(frozen=True, kw_only=True)
class Quota:
    """The most that a tenant may have at one time, over the whole cluster; None is no limit.

    `steps`, `cpu`, `memory_mib` and `gpu` are those of running steps; `wall_s` is how long one run may take.
    """

    runs: int | None = None
    queued: int | None = None
    steps: int | None = None
    cpu: float | None = None
    memory_mib: int | None = None
    gpu: float | None = None
    stored_mib: int | None = None
    flows: int | None = None
    wall_s: float | None = None

    @property
    def ceiling(self) -> Amounts:
        """The most that running steps may take."""
        return Amounts(
            steps=_or_unlimited(self.steps),
            cpu_m=_or_unlimited(self.cpu, 1000),
            memory_mib=_or_unlimited(self.memory_mib),
            gpu_m=_or_unlimited(self.gpu, 1000),
        )

    @property
    def most_runs(self) -> int:
        """The most runs at a time, as a number."""
        return _or_unlimited(self.runs)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a tenant takes part: its quota, and its weight among those who wait.

    Of two terms the one with the higher `version` is in force, whichever a replica hears of last. Of one version it is
    what was heard last: the operator's defaults, which fill in what a tenant leaves open, change without a version.
    """

    quota: Quota = field(default_factory=Quota)
    weight: float = 1.0
    version: int = 0

    def replaces(self, known: Terms) -> bool:
        """Whether these terms, heard now, are in force from now on instead of those that were."""
        if self.version != known.version:
            return self.version > known.version
        return self._counted != known._counted

    @property
    def _counted(self) -> tuple[float, int, Amounts]:
        return self.weight, self.quota.most_runs, self.quota.ceiling


def _or_unlimited(limit: float | None, factor: int = 1) -> int:
    return UNLIMITED if limit is None else min(round(limit * factor), UNLIMITED)
