"""Whatever happens to a run, it ends as if nothing had happened. A million steps: `benchmarks/simulate_engine.py`."""

from __future__ import annotations

import pytest

from tests.kit.simulation.claims import lived_through
from tests.kit.simulation.world import ROUGH

_RUNS = 120


@pytest.mark.parametrize("first", range(0, _RUNS, 40))
def test_a_run_ends_as_if_nothing_had_happened(first: int) -> None:
    told = [lived_through(seed, ROUGH) for seed in range(first, first + 40)]

    assert sum(run.mishaps["engine"] + run.mishaps["runner"] for run in told) > 10
