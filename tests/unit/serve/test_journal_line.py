"""What `flowray watch` says of each event: words for people, never the name of a type."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from flowray.engine import events as ev
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray_serve.cli.journal_line import line
from tests.unit.serve.flows import RUN

ANSWER = f"Answer: flowray resume {RUN} ANSWER (flowray pending shows which there are)."
S, N = StepId("s1"), NodeId("Agent-1")
ACCEPTED: dict[str, Any] = {"tenant": "t", "flow": "f-1", "flow_name": "Report", "version": "d", "session": "s"}
SAID: list[tuple[ev.Event, str]] = [
    (ev.RunAccepted(**ACCEPTED), "run of Report accepted"),
    (ev.RunAccepted(**ACCEPTED, asked_by="r0"), "run of Report accepted, asked for by r0"),
    (ev.RunAccepted(**ACCEPTED, parent="r0", from_node="A"), "run of Report accepted, again after r0 from A"),
    (ev.RunStarted(engine="engine-1"), "run taken by engine-1"),
    (ev.RunPaused(until=1.0), "The run waits for a time. It goes on by itself."),
    (ev.RunPaused(request={"prompt": "Send it"}), f"The run waits for a decision: Send it. {ANSWER}"),
    (ev.RunResumed(), "run goes on"),
    (ev.RunResumed(node=N), "run goes on at Agent-1"),
    (ev.RunTimedOut(limit_s=30.0), "run took longer than the 30 s that it may"),
    (ev.CancelRequested(reason="enough"), "run asked to stop: enough"),
    (ev.RunFinished(status="succeeded"), "run succeeded"),
    (ev.RunFinished(status="failed", error="no key"), "run failed: no key"),
    (ev.StepQueued(step=S), "s1 queued"),
    (ev.StepQueued(step=S, attempt=2, after_s=0.5), "s1 queued in 0.5 s, attempt 2"),
    (ev.StepStarted(step=S, attempt=1, runner="cpu-1", queued_s=0.0123), "s1 started on cpu-1 after 12.3 ms"),
    (
        ev.StepStarted(step=S, attempt=1, runner="r", degraded=("network",)),
        "s1 started on r after 0.0 ms, without network",
    ),
    (ev.StepFinished(step=S, took_s=1.5), "s1 finished in 1500.0 ms"),
    (ev.StepFailed(step=S, kind="crashed", error="signal 9"), "s1 failed: signal 9"),
    (ev.StepPaused(step=S, took_s=0.1), "s1 paused after 100.0 ms"),
    (ev.NodeStarted(node=N), "Agent-1 started"),
    (ev.NodeFinished(node=N, outputs={}, took_s=0.002), "Agent-1 finished in 2.0 ms"),
    (ev.NodeFinished(node=N, outputs={}, cached=True), "Agent-1 finished in 0.0 ms, from what it gave before"),
    (ev.NodeFailed(node=N, error="no key"), "Agent-1 failed: no key"),
    (ev.NodePaused(node=N, request={"prompt": "Go?"}), "Agent-1 waits for a decision"),
    (ev.NodePaused(node=N, until=1_700_000_000.5), "Agent-1 waits until 2023-11-14 22:13:20"),
    (ev.NodeDecided(node=N, decision="replay", why="signal 9"), "Agent-1 is run again: signal 9"),
    (ev.BranchStopped(node=N, output="no", nodes=(NodeId("B"), NodeId("C"))), "Agent-1 closed its output no: B, C"),
    (ev.Token(node=N, text="Hel\n"), "Agent-1: Hel"),
    (ev.Log(node=NodeId(""), text="hm"), "run: hm"),
    (ev.MessageAdded(node=N, message=None), "Agent-1 wrote a message"),
    (ev.ModelUsed(node=N, model="m", input_tokens=3, output_tokens=4), "Agent-1 called m (3 tokens in, 4 out)"),
    (ev.ContextChanged(node=N, values={"a": 1, "b": 2}), "Agent-1 changed the flow's context: a, b"),
    (
        ev.ConnectionEnded(step=S, host="x.org", port=443, verdict="refused", reason="no rule"),
        "s1 refused x.org:443: no rule (0 bytes up, 0 down, 0 ms)",
    ),
    (ev.ChildStarted(step=S, child=ev.RunId("r2"), flow="f-2", flow_name="Below"), "s1 runs Below as r2"),
]


@pytest.mark.parametrize(("event", "said"), SAID)
def test_what_happened_is_said_in_words(event: ev.Event, said: str) -> None:
    assert line(ev.Recorded(seq=1, at=0.0, run=RUN, event=event)) == said


@pytest.mark.parametrize("decision", get_args(ev.Decision))
def test_each_decision_has_its_words(decision: ev.Decision) -> None:
    decided = ev.NodeDecided(node=N, decision=decision)
    assert line(ev.Recorded(seq=1, at=0.0, run=RUN, event=decided)).startswith("Agent-1 ")


def test_no_event_is_forgotten() -> None:
    assert {type(event) for event, _ in SAID} == set(get_args(ev.Event))
