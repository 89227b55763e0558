"""A short round of chaos: minutes, with a fixed seed. `make chaos` plays longer.

Here the raylet lives: the service would be starting again for a good part of the round.
"""

from __future__ import annotations

import pytest

from tests.chaos.monkey import ACTS
from tests.chaos.round import play

_ACTS = tuple(act for act in ACTS if act != "kill raylet")


@pytest.mark.timeout(900)
def test_no_accepted_run_is_lost_whatever_dies() -> None:
    report, _ = play(seed=5644, for_s=180, acts=_ACTS)

    assert report.faults == (), report
    assert report.accepted > 50, report
    assert sum(report.done.values()) > 5, report
