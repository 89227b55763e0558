"""A short round of chaos: minutes, with a fixed seed. `make chaos` plays longer.

With this seed engines, Runners, sandboxes, the registry and a zygote die, connections are cut, and Redis forgets both
everything and its last second.
"""

from __future__ import annotations

import pytest

from tests.chaos.round import play


@pytest.mark.timeout(900)
def test_no_accepted_run_is_lost_whatever_dies() -> None:
    report, _ = play(seed=5644, for_s=90)

    assert report.faults == (), report
    assert report.accepted > 50, report
    assert sum(report.done.values()) > 5, report
