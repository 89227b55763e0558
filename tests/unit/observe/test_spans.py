"""A run that is over, as a trace."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from flowray.engine import events as ev
from flowray.engine.events import RunId
from flowray.flow.types import NodeId
from flowray.observe.spans import Span, spans
from flowray.observe.trace_context import above, below, is_kept, trace_of
from flowray.plan.types import StepId

RUN = "6f1d9c1e-0000-4000-8000-00000000beef"
TRACE, CALLER = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE:032x}-{CALLER:016x}-01"
S1, S2 = StepId("s1"), StepId("s2")
CHAT, AGENT, TOOL = NodeId("ChatInput-1"), NodeId("Agent-1"), NodeId("Tool-1")
STEP_OF = {CHAT: S1, AGENT: S1, TOOL: S2}


def accepted(**facts: Any) -> ev.RunAccepted:
    return ev.RunAccepted(tenant="acme", flow="f1", flow_name="Invoices", version="v1", session="s", **facts)


def told(
    *events: tuple[float, ev.Event], run: str = RUN, step_of: Mapping[NodeId, StepId] = STEP_OF
) -> dict[str, Span]:
    found = spans(journal(*events, run=run), step_of)
    assert len({span.id for span in found}) == len(found)
    return {span.name: span for span in found}


def journal(*events: tuple[float, ev.Event], run: str = RUN) -> Sequence[ev.Recorded]:
    return [ev.Recorded(seq=seq, at=at, run=RunId(run), event=event) for seq, (at, event) in enumerate(events, 1)]


SUCCEEDED = (
    (100.0, accepted()),
    (100.5, ev.RunStarted(engine="e1")),
    (101.0, ev.StepQueued(step=S1)),
    # Told in one batch, as a step that is soon over tells it.
    (109.0, ev.StepStarted(step=S1, attempt=1, runner="node-a/1", queued_s=1.0)),
    (109.0, ev.NodeStarted(node=CHAT, after_s=0.0)),
    (109.0, ev.NodeFinished(node=CHAT, outputs={}, took_s=0.5)),
    (109.0, ev.NodeStarted(node=AGENT, after_s=0.5)),
    (109.0, ev.ModelUsed(node=AGENT, model="gpt-4o", input_tokens=100, output_tokens=10)),
    (109.0, ev.ConnectionEnded(step=S1, host="api.openai.com", port=443, verdict="allowed", took_ms=2000.0)),
    (109.0, ev.NodeFinished(node=AGENT, outputs={}, took_s=6.0)),
    (109.0, ev.StepFinished(step=S1, took_s=7.0, usage={"cpu_s": 0.5})),
    (110.0, ev.RunFinished(status="succeeded")),
)


def test_nodes_are_below_their_step_and_the_step_below_its_run() -> None:
    found = told(*SUCCEEDED)

    run, step, agent = found["run Invoices"], found["step s1"], found[AGENT]
    assert (run.parent, step.parent, agent.parent, found[CHAT].parent) == (0, run.id, step.id, step.id)
    assert {span.trace for span in found.values()} == {uuid.UUID(RUN).int}
    assert {span.error for span in found.values()} == {None}
    assert (run.began_at, run.ended_at, run.kind) == (100.0, 110.0, "server")
    assert run.facts | {"flowray.tenant": "acme", "flowray.flow": "Invoices", "flowray.run": RUN} == run.facts


def test_nodes_have_their_own_times_though_they_were_told_together() -> None:
    found = told(*SUCCEEDED)
    assert (found[CHAT].began_at, found[CHAT].ended_at) == (102.0, 102.5)
    assert (found[AGENT].began_at, found[AGENT].ended_at) == (102.5, 108.5)
    assert (found["step s1"].began_at, found["step s1"].ended_at) == (101.0, 109.0)
    assert [note.at for note in found["step s1"].notes] == [101.0, 102.0]


def test_calls_of_models_and_connections_are_told_in_open_telemetrys_words() -> None:
    found = told(*SUCCEEDED)
    (call,) = found[AGENT].notes
    assert call.facts == {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
    }
    connection = found["connect api.openai.com"]
    assert (connection.kind, connection.parent) == ("client", found["step s1"].id)
    assert (connection.began_at, connection.facts["server.port"]) == (107.0, 443)
    assert found["step s1"].facts["flowray.cpu_s"] == 0.5


def test_a_failure_is_told_of_the_node_its_step_and_its_run() -> None:
    found = told(
        (0.0, accepted()),
        (0.0, ev.RunStarted(engine="e1")),
        (0.0, ev.StepQueued(step=S1)),
        (1.0, ev.StepStarted(step=S1, attempt=1, runner="r")),
        (1.0, ev.NodeStarted(node=CHAT)),
        (1.0, ev.NodeStarted(node=AGENT, after_s=0.5)),
        (2.0, ev.NodeFailed(node=AGENT, error="no", error_type="ValueError")),
        (2.0, ev.StepFailed(step=S1, kind="component", error="no", node=AGENT, error_type="ValueError")),
        (3.0, ev.RunFinished(status="failed", error="no", kind="component", node=AGENT, error_type="ValueError")),
    )
    assert [found[name].error for name in (AGENT, "step s1", "run Invoices")] == ["no", "no", "no"]
    assert found["run Invoices"].facts | {"flowray.failed_node": AGENT, "error.type": "ValueError"} == (
        found["run Invoices"].facts
    )
    assert (found[CHAT].error, found[CHAT].ended_at) == ("Its step ended before it.", 2.0)


def test_a_step_that_is_tried_again_is_one_span_and_what_counts_is_its_end() -> None:
    found = told(
        (0.0, accepted()),
        (0.0, ev.StepQueued(step=S1)),
        (1.0, ev.StepFailed(step=S1, kind="lost", error="gone")),
        (1.0, ev.StepQueued(step=S1, attempt=2, after_s=4.0)),
        (6.0, ev.StepStarted(step=S1, attempt=2, runner="r", queued_s=0.5)),
        (6.0, ev.NodeStarted(node=CHAT, after_s=0.25)),
        (6.0, ev.NodeFinished(node=CHAT, outputs={}, took_s=0.25)),
        (7.0, ev.StepFinished(step=S1)),
        (7.0, ev.RunFinished(status="succeeded")),
    )
    assert (found["step s1"].error, found["step s1"].began_at, found["step s1"].ended_at) == (None, 0.0, 7.0)
    assert [note.facts.get("flowray.attempt") for note in found["step s1"].notes] == [1, 2, None]
    assert found[CHAT].began_at == 5.75


def test_a_node_of_a_flow_that_is_gone_is_below_the_run() -> None:
    found = told(*SUCCEEDED, step_of={})
    assert found[AGENT].parent == found["run Invoices"].id


def test_what_was_cached_or_is_told_without_a_beginning_has_an_end() -> None:
    found = told(
        (0.0, accepted()),
        (1.0, ev.NodeFinished(node=TOOL, outputs={}, cached=True)),
        (2.0, ev.NodeFailed(node=AGENT, error="no")),
        (3.0, ev.RunFinished(status="cancelled")),
    )
    assert found[TOOL].facts["flowray.cached"] is True
    assert (found[TOOL].ended_at, found[AGENT].ended_at) == (1.0, 2.0)
    assert found["run Invoices"].error is None
    assert found["run Invoices"].facts["flowray.status"] == "cancelled"


def test_a_run_that_ends_amid_its_nodes_leaves_no_span_open() -> None:
    found = told(
        (0.0, accepted()),
        (0.0, ev.StepQueued(step=S1)),
        (1.0, ev.StepStarted(step=S1, attempt=1, runner="r")),
        (1.0, ev.NodeStarted(node=CHAT)),
        (9.0, ev.RunFinished(status="failed")),
    )
    assert {span.ended_at for span in found.values()} == {9.0}
    assert found["run Invoices"].error


def test_a_run_of_a_callers_trace_is_part_of_it() -> None:
    found = told((0.0, accepted(trace=TRACEPARENT)), (1.0, ev.RunFinished(status="succeeded")))
    run = found["run Invoices"]
    assert (run.trace, run.parent, run.kind) == (TRACE, CALLER, "server")


@pytest.mark.parametrize("said", ["", TRACEPARENT])
def test_what_a_step_starts_is_below_the_step(said: str) -> None:
    over = told(
        (0.0, accepted(trace=said)),
        (0.0, ev.StepQueued(step=S1)),
        (1.0, ev.StepFinished(step=S1)),
        (1.0, ev.RunFinished(status="succeeded")),
    )
    child = told(
        (0.0, accepted(trace=below(said, RUN, S1), asked_by=RUN)),
        (1.0, ev.RunFinished(status="succeeded")),
        run="child",
    )["run Invoices"]
    assert (child.trace, child.parent) == (over["step s1"].trace, over["step s1"].id)
    assert child.kind == "internal"


@pytest.mark.parametrize(
    "said",
    [
        "",
        "00-abc-def-01",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT.replace("00-", "ff-", 1),
        TRACEPARENT.replace("00-", "01-", 1) + "0",
        TRACEPARENT.replace("00-", "01-", 1) + ".more",
        TRACEPARENT + "-",
        f"00-{0:032x}-{CALLER:016x}-01",
        f"00-{TRACE:032x}-{0:016x}-01",
        "x" * 10_000,
    ],
)
def test_what_is_no_traceparent_is_passed_over(said: str) -> None:
    assert above(said) is None


@pytest.mark.parametrize("more", ["", "-", "-what comes next-"])
@pytest.mark.parametrize("version", ["01", "cc", "fe"])
def test_of_a_later_version_the_fields_that_are_known_are_read(version: str, more: str) -> None:
    assert above(TRACEPARENT.replace("00-", f"{version}-", 1) + more) == above(TRACEPARENT)


def test_a_share_of_traces_is_kept_and_all_of_a_trace_or_none() -> None:
    runs = [str(uuid.uuid4()) for _ in range(2_000)]
    kept = [run for run in runs if is_kept(journal((0.0, accepted()), run=run), 0.25)]
    assert 400 < len(kept) < 600
    for run in runs[:100]:
        child = accepted(trace=below("", run, S1), asked_by=run)
        assert is_kept(journal((0.0, child), run="child"), 0.25) is (run in kept)


def test_a_caller_may_leave_its_trace_out() -> None:
    unsampled = TRACEPARENT.removesuffix("01") + "00"
    assert not is_kept(journal((0.0, accepted(trace=unsampled))), 1.0)
    assert not is_kept(journal((0.0, accepted(trace=below(unsampled, RUN, S1)))), 1.0)
    assert is_kept(journal((0.0, accepted(trace=TRACEPARENT))), 1.0)
    assert not is_kept(journal((0.0, accepted(trace=TRACEPARENT))), 0.0)


def test_a_journal_without_its_beginning_is_no_trace() -> None:
    assert spans(journal((0.0, ev.RunFinished(status="failed"))), {}) == []
    assert spans([], {}) == []
    assert not is_kept(journal((0.0, ev.RunFinished(status="failed"))), 1.0)


def test_a_run_whose_id_is_no_uuid_has_a_trace_all_the_same() -> None:
    assert 0 < trace_of("r1") < 1 << 128
