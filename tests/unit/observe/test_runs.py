"""A run that is over, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flowray.engine.events import (
    ConnectionEnded,
    Event,
    ModelUsed,
    NodeFailed,
    NodeFinished,
    Recorded,
    RunAccepted,
    RunFinished,
    RunId,
    RunPaused,
    RunResumed,
    RunStarted,
    StepFailed,
    StepFinished,
    StepQueued,
    StepStarted,
)
from flowray.flow.types import NodeId
from flowray.observe.runs import count
from flowray.observe.tally import Series, Tally
from flowray.plan.types import StepId

FLOW = ("acme", "Invoices", "f1")
ACCEPTED = RunAccepted(tenant="acme", flow="f1", flow_name="Invoices", version="v", session="s")
STEP, NODE = StepId("s1"), NodeId("Agent-1")


def counted(*events: tuple[float, Event]) -> dict[Series, float]:
    tally = Tally()
    count([Recorded(seq=seq, at=at, run=RunId("r1"), event=event) for seq, (at, event) in enumerate(events, 1)], tally)
    return dict(tally.amounts)


def of(found: dict[Series, float], family: str) -> dict[Sequence[str], float]:
    """What a family counts, by its labels without the flow's, and the part."""
    return {
        (*(label for label in series.labels if label not in FLOW), *([series.part] if series.part else ())): amount
        for series, amount in found.items()
        if series.family == family
    }


def test_a_failed_run_names_tenant_flow_and_node() -> None:
    found = counted(
        (0.0, ACCEPTED),
        (0.1, RunStarted(engine="e")),
        (0.2, NodeFailed(node=NODE, error="no")),
        (0.2, StepFailed(step=STEP, kind="component", error="no", node=NODE, cause="rate_limit")),
        (0.2, RunFinished(status="failed", kind="component", node=NODE)),
    )
    assert found[Series("flowray_run_failures_total", (*FLOW, "Agent-1", "component"))] == 1
    assert found[Series("flowray_runs_total", (*FLOW, "v", "failed"))] == 1
    assert of(found, "flowray_nodes_total") == {("Agent-1", "failed"): 1}
    assert of(found, "flowray_step_failures_total") == {("Agent-1", "component", "rate_limit"): 1}


def test_a_step_that_is_tried_again_counts_as_a_failure_of_its_step_alone() -> None:
    found = counted(
        (0.0, ACCEPTED),
        (0.0, RunStarted(engine="e")),
        (0.0, StepFailed(step=STEP, kind="lost", error="gone")),
        (1.0, RunFinished(status="succeeded")),
    )
    assert of(found, "flowray_step_failures_total") == {("", "lost", ""): 1}
    assert of(found, "flowray_runs_total") == {("v", "succeeded"): 1}
    assert not of(found, "flowray_run_failures_total")


def test_the_time_for_which_a_run_was_paused_is_not_its_own() -> None:
    found = counted(
        (0.0, ACCEPTED),
        (2.0, RunStarted(engine="e")),
        (3.0, RunPaused()),
        (90.0, RunResumed(node=NODE)),
        (90.0, RunStarted(engine="e")),
        (92.0, RunFinished(status="succeeded")),
    )
    assert of(found, "flowray_run_seconds") == {("sum",): 3.0, ("5.0",): 1}
    assert of(found, "flowray_run_wait_seconds") == {("sum",): 2.0, ("2.5",): 1}


def test_an_engine_that_takes_over_does_not_begin_the_time_anew() -> None:
    found = counted(
        (0.0, ACCEPTED),
        (1.0, RunStarted(engine="a")),
        (5.0, RunStarted(engine="b")),
        (7.0, RunFinished(status="succeeded")),
    )
    assert of(found, "flowray_run_seconds")["sum",] == 6.0
    assert of(found, "flowray_run_wait_seconds")["sum",] == 1.0


def test_a_run_that_no_engine_had_took_no_time() -> None:
    found = counted((0.0, ACCEPTED), (9.0, RunFinished(status="cancelled")))
    assert of(found, "flowray_runs_total") == {("v", "cancelled"): 1}
    assert not of(found, "flowray_run_seconds")


def test_a_steps_wait_is_what_its_start_says() -> None:
    found = counted(
        (0.0, ACCEPTED),
        (0.0, RunStarted(engine="e")),
        (10.0, StepQueued(step=STEP)),
        (95.0, StepStarted(step=STEP, attempt=1, runner="r", queued_s=1.0)),  # told late, with what it came to
    )
    assert of(found, "flowray_step_wait_seconds") == {("sum",): 1.0, ("1.0",): 1}


def test_what_nodes_did_is_counted_by_node() -> None:
    found = counted(
        (0.0, ACCEPTED),
        (0.0, RunStarted(engine="e")),
        (1.0, NodeFinished(node=NODE, outputs={}, took_s=0.5)),
        (1.0, NodeFinished(node=NodeId("Prompt-1"), outputs={}, took_s=7.0, cached=True)),
        (1.0, ModelUsed(node=NODE, model="gpt-4o", input_tokens=100, output_tokens=0)),
        (1.0, ConnectionEnded(step=STEP, host="h", port=443, verdict="refused")),
        (1.0, StepFinished(step=STEP, usage={"cpu_s": 0.25})),
    )
    assert of(found, "flowray_nodes_total") == {("Agent-1", "finished"): 1, ("Prompt-1", "cached"): 1}
    assert of(found, "flowray_node_seconds") == {("Agent-1", "sum"): 0.5, ("Agent-1", "count"): 1}
    assert of(found, "flowray_model_calls_total") == {("Agent-1", "gpt-4o"): 1}
    assert of(found, "flowray_model_tokens_total") == {("Agent-1", "gpt-4o", "input"): 100}
    assert of(found, "flowray_connections_total") == {("refused",): 1}
    assert of(found, "flowray_cpu_seconds_total") == {(): 0.25}


@pytest.mark.parametrize("first", [RunStarted(engine="e"), RunFinished(status="failed")])
def test_a_journal_without_its_beginning_counts_nothing(first: Event) -> None:
    assert counted((0.0, first), (1.0, RunFinished(status="failed"))) == {}
    assert counted() == {}
