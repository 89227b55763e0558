from flowray.engine.commands import FinishRun, StartStep, StopStep
from flowray.engine.events import (
    CancelRequested,
    ContextChanged,
    Log,
    NodeDecided,
    RunAccepted,
    RunFinished,
    RunStarted,
    StepFailed,
    StepQueued,
    Token,
)
from flowray.engine.retry import MOST_UNSTARTED
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from tests.unit.build import plan_of
from tests.unit.engine.happenings import after, begun, failed, finished, gave, started, starts, text

A, B, C = StepId("a"), StepId("b"), StepId("c")


def test_a_run_starts_with_all_steps_that_need_nothing() -> None:
    _, commands = begun(plan_of(a="", b="", c="a b"))
    assert starts(commands) == ["a", "b"]


def test_a_step_starts_when_the_last_of_its_needs_is_finished() -> None:
    state, commands = begun(plan_of(a="", b="", c="a b"), finished("a"))
    assert commands == ()
    _, commands = after(state, finished("b"))
    assert starts(commands) == ["c"]


def test_one_finished_step_starts_all_that_waited_for_it() -> None:
    _, commands = begun(plan_of(a="", b="a", c="a"), finished("a"))
    assert starts(commands) == ["b", "c"]


def test_a_step_gets_the_outputs_that_its_edges_read() -> None:
    plan = plan_of(a="", b="", c="a")
    _, commands = begun(plan, gave("a", out="for c"), gave("b", out="for nobody"), finished("a"))
    assert commands == (StartStep(step=C, upstream={NodeId("a"): {"out": text("for c")}}),)


def test_a_node_that_ran_twice_hands_on_its_last_output() -> None:
    _, commands = begun(plan_of(a="", b="a"), gave("a", out="first"), gave("a", out="second"), finished("a"))
    assert commands == (StartStep(step=B, upstream={NodeId("a"): {"out": text("second")}}),)


def test_a_step_gets_what_nodes_before_it_wrote_to_the_context() -> None:
    written = ContextChanged(node=NodeId("a"), values={"language": "de"})
    _, commands = begun(plan_of(a="", b="a"), written, finished("a"))
    assert commands == (StartStep(step=B, context={"language": "de"}),)


def test_the_run_succeeds_when_its_last_step_is_finished() -> None:
    _, commands = begun(plan_of(a="", b="a"), finished("a"), finished("b"))
    assert commands == (FinishRun(status="succeeded"),)


def test_a_plan_without_steps_succeeds_at_once() -> None:
    _, commands = begun(plan_of())
    assert commands == (FinishRun(status="succeeded"),)


def test_a_failed_step_stops_the_others_and_fails_the_run_with_its_reason() -> None:
    failure = StepFailed(
        step=A, kind="component", error="no key", node=NodeId("a"), error_type="ValueError", traceback="Traceback"
    )
    _, commands = begun(plan_of(a="", b=""), started("b"), failure)
    assert commands == (
        StopStep(step=B),
        FinishRun(
            status="failed",
            error="no key",
            kind="component",
            node=NodeId("a"),
            error_type="ValueError",
            traceback="Traceback",
        ),
    )


def test_a_step_of_which_nothing_has_run_is_started_again() -> None:
    _, commands = begun(plan_of(a=""), failed("a", retryable=True))
    assert [(start.step, start.attempt) for start in commands if isinstance(start, StartStep)] == [(A, 2)]


def test_a_step_that_never_finds_a_sandbox_fails_the_run() -> None:
    again = failed("a", "nobody took it", retryable=True)
    state, commands = begun(plan_of(a=""), *[again] * (MOST_UNSTARTED - 1))
    assert starts(commands) == ["a"]
    _, commands = after(state, again)
    assert commands == (FinishRun(status="failed", error="nobody took it", kind="unavailable"),)


def test_cancelling_stops_what_runs_and_ends_the_run() -> None:
    _, commands = begun(plan_of(a="", b="a"), started("a"), CancelRequested(reason="enough"))
    assert commands == (StopStep(step=A), FinishRun(status="cancelled", kind="cancelled", error="enough"))


def test_nothing_follows_once_a_run_is_decided() -> None:
    state, _ = begun(plan_of(a="", b="a"), CancelRequested())
    state, commands = after(state, finished("a"))
    assert commands == ()
    assert state.verdict == FinishRun(status="cancelled", kind="cancelled")


def test_what_is_only_told_changes_nothing() -> None:
    state, _ = begun(plan_of(a=""))
    node = NodeId("a")
    told = (
        RunAccepted(tenant="t", flow="f", flow_name="F", version="v", session="s"),
        StepQueued(step=A),
        NodeDecided(node=node, decision="replay"),
        Token(node=node, text="Hi"),
        Log(node=node, text="line"),
    )
    assert after(state, *told) == (state, ())


def test_a_step_that_ends_twice_counts_once() -> None:
    state, _ = begun(plan_of(a="", b="", c="a b"), finished("a"))
    assert after(state, finished("a")) == (state, ())


def test_the_end_of_a_step_that_nobody_asked_for_is_ignored() -> None:
    state, _ = begun(plan_of(a="", b="a"))
    assert after(state, finished("b"), failed("nobody's"), started("nobody's")) == (state, ())


def test_another_engine_asks_again_for_what_never_started() -> None:
    state, _ = begun(plan_of(a="", b=""), failed("b", retryable=True), started("a"))
    _, commands = after(state, RunStarted(engine="engine-2"))
    assert commands == (StartStep(step=B, attempt=2),)
    assert state.started == (A,)


def test_a_finished_journal_leaves_nothing_to_do() -> None:
    state, commands = begun(plan_of(a=""), RunFinished(status="failed", error="boom", kind="lost"))
    assert commands == ()
    assert state.verdict == FinishRun(status="failed", error="boom", kind="lost")


def test_a_partial_run_leaves_out_the_other_nodes() -> None:
    state, commands = begun(plan_of(a="", b="a", c="b"), only=["b"])
    assert starts(commands) == ["b"]
    _, commands = after(state, finished("b"))
    assert commands == (FinishRun(status="succeeded"),)


def test_a_partial_run_of_no_node_succeeds_at_once() -> None:
    _, commands = begun(plan_of(a="", b="a"), only=[])
    assert commands == (FinishRun(status="succeeded"),)
