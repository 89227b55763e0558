"""The story of a run, from its journal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowray.engine import events as ev
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray_serve.timeline import Timeline, placed
from tests.unit.serve.flows import RUN, SUCCEEDED, journal, said

ACCEPTED = ev.RunAccepted(tenant="t", flow="f", flow_name="Echo", version="v" * 64, session="s")
STARTED = ev.StepStarted(step=StepId("s1"), attempt=1, runner="node-a/1", queued_s=0.25)
CHAT = NodeId("ChatOutput-1")
ASKING = NodeId("HumanInput-1")
SAID = (
    ACCEPTED,
    ev.RunStarted(engine="e1"),
    ev.StepQueued(step=StepId("s1")),
    STARTED,
    ev.NodeStarted(node=CHAT, after_s=0.5),
    said(CHAT, "hi"),
)
FAILED_ATTEMPT = (
    ev.StepQueued(step=StepId("s1")),
    STARTED,
    ev.NodeStarted(node=CHAT),
    ev.NodeFailed(node=CHAT, error="429", error_type="RateLimitError", traceback=""),
    ev.StepFailed(step=StepId("s1"), kind="component", node=CHAT, error="429", error_type="RateLimitError"),
)
SECOND_ATTEMPT = (ev.StepQueued(step=StepId("s1"), attempt=2), replace(STARTED, attempt=2), ev.NodeStarted(node=CHAT))


def story(*events: ev.Event) -> dict[str, Any]:
    timeline = Timeline()
    for recorded in journal(*events):
        timeline.add(recorded)
    return timeline.as_json()


def test_a_run_that_waits_is_accepted() -> None:
    assert story(ACCEPTED)["status"] == "accepted"


def test_a_whole_run_says_when_where_and_how_long() -> None:
    told = story(
        *SAID,
        ev.StepFinished(step=StepId("s1"), took_s=0.5),
        SUCCEEDED,
    )
    assert (told["id"], told["status"], told["took_s"], told["last_seq"]) == (RUN, "succeeded", 7.0, 8)
    assert told["flow"] == {"id": "f", "name": "Echo", "version": "v" * 64}
    (told_node,) = told["nodes"]
    node = placed(told_node, told["steps"], {CHAT: StepId("s1")})
    assert node["runner"] == "node-a/1"
    assert (node["queued_s"], node["started_at"], node["took_s"]) == (0.25, 103.75, 0.01)
    assert told["steps"][0]["status"] == "finished"


def test_a_step_that_was_asked_for_later_starts_later() -> None:
    told = story(ACCEPTED, ev.RunStarted(engine="e1"), ev.StepQueued(step=StepId("s1"), after_s=8.0), STARTED)
    assert told["steps"][0]["started_at"] == told["steps"][0]["queued_at"] + 8.25


def test_a_node_that_finished_in_an_earlier_attempt_is_told_where_and_when_it_ran() -> None:
    told = story(
        *SAID,
        ev.NodeStarted(node=ASKING),
        ev.NodePaused(node=ASKING, request={"prompt": "Go on?"}),
        ev.StepPaused(step=StepId("s1"), took_s=1.0),
        ev.RunPaused(request={"prompt": "Go on?"}),
        ev.RunResumed(node=ASKING),
        ev.RunStarted(engine="e2"),
        ev.StepQueued(step=StepId("s1"), attempt=2),
        replace(STARTED, attempt=2, runner="node-b/1"),
        ev.NodeStarted(node=ASKING, after_s=0.125),
    )
    places = {CHAT: StepId("s1"), ASKING: StepId("s1")}
    finished, asking = (placed(node, told["steps"], places) for node in told["nodes"])
    assert (finished["runner"], finished["started_at"]) == ("node-a/1", 103.75)
    assert (asking["runner"], asking["started_at"], asking["runs"]) == ("node-b/1", 113.375, 2)
    assert (told["started_at"], told["engine"]) == (102.0, "e2")


def test_a_run_that_was_stopped_while_it_waited_asks_nothing_any_more() -> None:
    told = story(*SAID, ev.RunPaused(request={"prompt": "Go on?"}), ev.RunFinished(status="cancelled"))

    assert told["status"] == "cancelled"
    assert not {"human_request", "until"} & set(told)


def test_what_ended_an_earlier_attempt_is_told_with_that_attempt_alone() -> None:
    ended = (said(CHAT, "hi"), ev.StepFinished(step=StepId("s1"), took_s=0.5))
    told = story(ACCEPTED, *FAILED_ATTEMPT, *SECOND_ATTEMPT, *ended)
    (step,), (node,) = told["steps"], told["nodes"]
    assert (step["status"], step["attempt"], [each["error"] for each in step["earlier"]]) == ("finished", 2, ["429"])
    assert "error" not in step
    assert "error" not in node


def test_a_node_of_a_loop_counts_its_runs() -> None:
    told = story(ACCEPTED, ev.NodeStarted(node=CHAT), said(CHAT, "1"), ev.NodeStarted(node=CHAT), said(CHAT, "2"))
    assert told["nodes"][0]["runs"] == 2


def test_what_a_failed_attempt_ended_with_is_not_said_of_the_next() -> None:
    attempts, ended = (*FAILED_ATTEMPT, *SECOND_ATTEMPT), ev.StepFinished(step=StepId("s1"), took_s=0.5)

    running = story(ACCEPTED, *attempts)
    finished = story(ACCEPTED, *attempts, said(CHAT, "hi"), ended)

    assert not {"finished_at", "error"} & {*running["steps"][0], *running["nodes"][0]}
    assert not {"kind", "error", "error_type"} & {*finished["steps"][0], *finished["nodes"][0]}


def test_a_node_in_a_later_round_of_a_loop_has_not_ended_yet() -> None:
    round_of = (ev.NodeStarted(node=CHAT, after_s=0.5), said(CHAT, "hi"))
    told = story(ACCEPTED, STARTED, *round_of, ev.NodeStarted(node=CHAT, after_s=0.7))

    node = placed(told["nodes"][0], told["steps"], {CHAT: StepId("s1")})

    assert (node["status"], node["runs"]) == ("running", 2)
    assert "finished_at" not in node


def test_a_failed_run_keeps_the_error_and_its_node() -> None:
    told = story(ACCEPTED, ev.RunFinished(status="failed", kind="component", node=CHAT, error="no", traceback="tb"))
    assert told["error"]["node"] == CHAT
    assert told["error"]["traceback"] == "tb"


def test_a_node_on_a_stopped_branch_is_stopped() -> None:
    told = story(ACCEPTED, ev.BranchStopped(node=NodeId("Router-1"), output="false", nodes=(CHAT,)))
    assert told["nodes"][0]["status"] == "stopped"


def test_a_run_behind_fewer_walls_says_which_are_down() -> None:
    told = story(ACCEPTED, replace(STARTED, degraded=("landlock",)), replace(STARTED, step=StepId("s2")))
    assert told["degraded"] == ["landlock"]
    assert [step.get("degraded") for step in told["steps"]] == [["landlock"], None]


def test_each_connection_is_told_with_its_verdict_and_amounts() -> None:
    ended = ev.ConnectionEnded(
        step=StepId("s1"), host="api.test", port=443, verdict="cut", reason="bytes", up_bytes=10, down_bytes=20
    )
    (told,) = story(ACCEPTED, ended)["connections"]
    assert (told["step"], told["host"], told["port"], told["verdict"]) == ("s1", "api.test", 443, "cut")
    assert (told["reason"], told["up_bytes"], told["down_bytes"]) == ("bytes", 10, 20)
