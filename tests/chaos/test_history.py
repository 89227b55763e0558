"""The checker finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.history import Accepted, History, Kind, endings, faults


def journal(*kinds: str, status: str = "succeeded") -> list[dict[str, Any]]:
    return [
        {"seq": seq, "kind": kind.partition(":")[0], "node": kind.partition(":")[2], "status": status}
        for seq, kind in enumerate(kinds, 1)
    ]


WELL = journal("run_accepted", "node_started:a", "node_finished:a", "run_finished")


def found(events: list[dict[str, Any]], *, kind: Kind = "echo", cancelled: bool = False, effects: int = 0) -> list[str]:
    one = Accepted(run="r", label="l", kind=kind, cancelled=cancelled)
    return faults(History(accepted=[one], journals={"r": events}, effects={"l": effects}))


def test_a_run_that_went_well_has_no_faults() -> None:
    assert found(WELL) == []
    assert found(WELL, kind="skip", effects=1) == []
    assert found(WELL, kind="replay", effects=2) == []
    assert found(journal("run_accepted", "run_finished", status="cancelled"), kind="cancel", cancelled=True) == []


@pytest.mark.parametrize(
    ("events", "kind", "effects", "fault"),
    [
        ([], "echo", 0, "lost"),
        (WELL[:-1], "echo", 0, "0 ends"),
        ([*WELL, {**WELL[-1], "seq": 5}], "echo", 0, "2 ends"),
        ([WELL[0], *WELL[2:]], "echo", 0, "gap"),
        (journal("node_started:a", "node_finished:a", "node_started:a", "run_finished"), "echo", 0, "ran again"),
        (WELL, "skip", 2, "2 times"),
        (WELL, "replay", 0, "without its effect"),
        (journal("run_finished", status="failed"), "sync", 0, "has its answer"),
    ],
)
def test_each_fault_is_found(events: list[dict[str, Any]], kind: Kind, effects: int, fault: str) -> None:
    (told,) = found(events, kind=kind, effects=effects)
    assert fault in told


def test_a_confirmed_stop_that_was_none_is_found() -> None:
    assert "confirmed" in found(WELL, kind="cancel", cancelled=True)[0]


def test_endings_are_counted() -> None:
    accepted = [Accepted(run=run, label="l", kind="echo") for run in ("r", "gone")]
    told = endings(History(accepted=accepted, journals={"r": WELL}))
    assert told == {"echo succeeded": 1, "echo lost": 1}
