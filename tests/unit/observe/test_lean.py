"""What is held of a run until its trace is sent."""

from __future__ import annotations

from flowray.engine import events as ev
from flowray.engine.events import RunId
from flowray.engine.values import Ref, Value
from flowray.flow.types import NodeId
from flowray.observe.lean import lean, size_bytes
from flowray.observe.spans import spans
from flowray.plan.types import StepId

STEP, NODE = StepId("s1"), NodeId("Agent-1")
LONG = "a long text " * 1_000
EVENTS: tuple[ev.Event, ...] = (
    ev.RunAccepted(tenant="acme", flow="f1", flow_name="Invoices", version="v1", session="s"),
    ev.RunStarted(engine="e1"),
    ev.StepQueued(step=STEP),
    ev.StepStarted(step=STEP, attempt=1, runner="r", queued_s=0.5),
    ev.NodeStarted(node=NODE, after_s=0.25),
    ev.Log(node=NODE, text=LONG),
    ev.Token(node=NODE, text=LONG),
    ev.MessageAdded(node=NODE, message={"text": LONG}),
    ev.ContextChanged(node=NODE, values={"key": LONG}),
    ev.BranchStopped(node=NODE, output="out", nodes=(NODE,)),
    ev.ModelUsed(node=NODE, model="gpt-4o", input_tokens=1, output_tokens=2),
    ev.ConnectionEnded(step=STEP, host="api.openai.com", port=443, verdict="refused", reason="no rule", took_ms=2.0),
    ev.NodePaused(node=NODE, request={"text": LONG}),
    ev.StepPaused(step=STEP, usage={"cpu_s": 0.5}),
    ev.RunPaused(request={"text": LONG}),
    ev.RunResumed(decision={"text": LONG}, node=NODE),
    ev.NodeDecided(node=NODE, decision="replay"),
    ev.StepQueued(step=STEP, attempt=2, after_s=1.0),
    ev.NodeStarted(node=NODE),
    ev.NodeFinished(node=NODE, outputs={"out": Value(type="text", json=LONG)}, result={"r": LONG}, took_s=0.5),
    ev.NodeFinished(node=NODE, outputs={}, result_ref=Ref(key="k", size=1, sha256="d"), cached=True),
    ev.NodeFailed(node=NODE, error="no", error_type="ValueError", traceback=LONG),
    ev.StepFailed(step=STEP, kind="component", error="no", error_type="ValueError", traceback=LONG),
    ev.StepFinished(step=STEP, usage={"cpu_s": 0.5}),
    ev.RunTimedOut(limit_s=1.0),
    ev.CancelRequested(reason=LONG),
    ev.RunFinished(status="failed", error="no", kind="component", node=NODE, traceback=LONG),
)
JOURNAL = [ev.Recorded(seq=seq, at=100.0 + seq, run=RunId("r1"), event=event) for seq, event in enumerate(EVENTS, 1)]


def test_its_trace_is_that_of_the_whole_journal() -> None:
    assert spans(lean(JOURNAL), {NODE: STEP}) == spans(JOURNAL, {NODE: STEP})


def test_nothing_is_held_of_what_nodes_were_given_gave_or_printed() -> None:
    assert "a long text" in repr(JOURNAL)
    assert "a long text" not in repr(lean(JOURNAL))


def test_of_an_error_as_much_is_held_as_people_read() -> None:
    failed = ev.NodeFailed(node=NODE, error=LONG, error_type=LONG)
    (kept,) = lean([ev.Recorded(seq=1, at=1.0, run=RunId("r1"), event=failed)])
    assert kept.event == ev.NodeFailed(node=NODE, error=LONG[:4_000], error_type=LONG[:4_000])
    assert 8_000 < size_bytes([kept]) < 10_000
