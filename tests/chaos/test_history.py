"""The checker finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.history import Accepted, History, endings, faults

ORDER = dict.fromkeys(("echo", "skip", "replay", "ask", "pause", "parallel"), (("a", "ChatOutput-b"),))


def event(kind: str, node: str = "", **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "node": node, **facts}


def numbered(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**one, "seq": seq} for seq, one in enumerate(events, 1)]


def ended(status: str = "succeeded") -> dict[str, Any]:
    return event("run_finished", status=status)


def answered(action: str, request: str = "q", node: str = "a") -> dict[str, Any]:
    return event("run_resumed", node, request_id=request, decision={"action_id": action})


def says(text: str) -> dict[str, Any]:
    return event("node_finished", "ChatOutput-b", outputs={"message": {"json": {"text": text}}})


ACCEPTED, BEGINS, DONE = event("run_accepted"), event("node_started", "a"), event("node_finished", "a")
BEGINS_B = event("node_started", "ChatOutput-b")
WELL = numbered(ACCEPTED, BEGINS, DONE, BEGINS_B, says("l"), ended())


def found(events: list[dict[str, Any]], kind: str = "echo", *, effects: int = 0, **facts: Any) -> list[str]:
    one = Accepted(run="r", label="l", kind=kind, cancelled=facts.pop("cancelled", False))
    return faults(History(accepted=[one], journals={"r": events}, effects={"l": effects}, order=ORDER, **facts))


def test_a_run_that_went_well_has_no_faults() -> None:
    assert found(WELL) == []
    assert found(WELL, "skip", effects=1) == []
    assert found(WELL, "replay", effects=2) == []
    assert found(numbered(ACCEPTED, ended("cancelled")), "cancel", cancelled=True) == []
    again = numbered(ACCEPTED, BEGINS, answered("replay"), BEGINS, DONE, BEGINS_B, says("l"), ended())
    assert found(again, "ask", effects=2, answers={"r": [("q", "replay")]}) == []
    rejected = numbered(ACCEPTED, BEGINS, answered("reject"), DONE, ended())
    assert found(rejected, "pause", effects=1, answers={"r": [("q", "reject")]}) == []


@pytest.mark.parametrize(
    ("events", "kind", "effects", "fault"),
    [
        ([], "echo", 0, "lost"),
        (WELL[:-1], "echo", 0, "0 ends"),
        ([*WELL, {**WELL[-1], "seq": 7}], "echo", 0, "2 ends"),
        (numbered(ACCEPTED, BEGINS, ended("failed"), event("log")), "echo", 0, "1 ends"),
        ([WELL[0], *[{**one, "seq": one["seq"] + 1} for one in WELL[1:]]], "echo", 0, "gap"),
        (numbered(*WELL[:3], *WELL[1:]), "echo", 0, "ran again"),
        (numbered(ACCEPTED, BEGINS_B, BEGINS, DONE, says("l"), ended()), "echo", 0, "before a was done"),
        (numbered(ACCEPTED, DONE, BEGINS_B, says("l"), ended()), "echo", 0, "had not begun"),
        (WELL, "skip", 2, "2 times"),
        (WELL, "ask", 2, "2 times"),
        (WELL, "replay", 0, "happened 0 times"),
        (numbered(*WELL[:4], says("l l"), ended()), "parallel", 1, "happened 1 times"),
        (numbered(ACCEPTED, ended("failed")), "sync", 0, "has its answer"),
        (numbered(*WELL[:4], says("other"), ended()), "echo", 0, "it says"),
        (numbered(ACCEPTED, BEGINS, DONE, ended()), "echo", 0, "said something 0 times"),
        (numbered(ACCEPTED, BEGINS, DONE, answered("reject"), *WELL[3:5], ended()), "pause", 1, "went on"),
        (numbered(*WELL[:3], answered("approve"), answered("approve"), *WELL[3:]), "pause", 1, "answered 2 times"),
    ],
)
def test_each_fault_is_found(events: list[dict[str, Any]], kind: str, effects: int, fault: str) -> None:
    (told,) = found(events, kind, effects=effects)
    assert fault in told


def test_a_confirmed_stop_that_was_none_is_found() -> None:
    assert "confirmed" in found(WELL, "cancel", cancelled=True)[0]


def test_a_confirmed_answer_that_is_nowhere_is_found() -> None:
    (told,) = found(WELL, "pause", effects=1, answers={"r": [("q", "approve")]})
    assert "is nowhere" in told


def test_a_quota_that_was_passed_is_found() -> None:
    assert found(WELL, at_once=3, quota=3) == []
    assert "3 may be" in found(WELL, at_once=4, quota=3)[0]


def test_a_synchronous_run_whose_caller_was_answered_is_on_record_whatever_redis_forgot() -> None:
    runs = [Accepted(run="r", label="l", kind="sync", at=9.0)]
    assert "it is lost" in faults(History(accepted=runs, journals={}))[0]


def test_endings_are_counted() -> None:
    accepted = [Accepted(run=run, label="l", kind="echo") for run in ("r", "gone")]
    told = endings(History(accepted=accepted, journals={"r": WELL}))
    assert told == {"echo succeeded": 1, "echo without an end": 1}
