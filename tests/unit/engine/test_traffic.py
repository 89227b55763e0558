"""What a run's connections may use in all, lent to its steps: never more than there is, and what is left comes back."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from flowray.engine.advance import advance
from flowray.engine.commands import Command, StartStep
from flowray.engine.events import ConnectionEnded, RunStarted, StepFailed
from flowray.engine.state import State
from flowray.engine.traffic import Traffic
from flowray.plan.types import Plan, StepId
from tests.unit.build import plan_of
from tests.unit.engine.happenings import after, failed, finished, started

RUN = Traffic(open=12, connections=12, up_bytes=1200, down_bytes=12_000)


def begun(plan: Plan) -> tuple[State, tuple[Command, ...]]:
    return after(State.start(plan, traffic=RUN), RunStarted(engine="e"))


def lent(commands: tuple[Command, ...]) -> dict[str, Traffic | None]:
    return {command.step: command.traffic for command in commands if isinstance(command, StartStep)}


def connected(step: str, *, up: int = 0, down: int = 0) -> ConnectionEnded:
    return ConnectionEnded(step=StepId(step), host="h", port=443, verdict="allowed", up_bytes=up, down_bytes=down)


def test_a_step_that_nothing_can_run_beside_is_lent_all() -> None:
    _, commands = begun(plan_of(a="", b="a", c="b"))
    assert lent(commands) == {"a": RUN}


def test_what_one_step_used_the_next_one_has_not() -> None:
    state, _ = begun(plan_of(a="", b="a"))
    _, commands = after(state, started("a"), connected("a", up=200, down=5000), connected("a"), finished("a"))
    assert lent(commands) == {"b": Traffic(open=12, connections=10, up_bytes=1000, down_bytes=7000)}


def test_steps_that_may_run_at_once_share_equally() -> None:
    _, commands = begun(plan_of(a="", b="", c="", d="a b c"))
    assert lent(commands) == dict.fromkeys("abc", RUN.part(3))


def test_a_part_is_kept_back_for_a_step_that_may_come_to_run_beside_it() -> None:
    state, commands = begun(plan_of(a="", b="", c="b"))
    assert lent(commands) == {"a": RUN.part(3), "b": RUN.less(RUN.part(3))}
    _, commands = after(state, started("a"), started("b"), finished("b"))
    assert lent(commands) == {"c": RUN.less(RUN.part(3))}


def test_what_a_step_did_not_use_comes_back() -> None:
    state, _ = begun(plan_of(a="", b="", c="a b"))
    _, commands = after(state, started("a"), connected("a", up=1), finished("a"), started("b"), finished("b"))
    assert lent(commands) == {"c": replace(RUN, connections=11, up_bytes=1199)}


def test_another_try_has_what_the_first_one_left() -> None:
    state, _ = begun(plan_of(a=""))
    _, commands = after(state, connected("a", up=900), failed("a", retryable=True))
    assert lent(commands) == {"a": replace(RUN, connections=11, up_bytes=300)}


def test_another_engine_goes_on_with_what_is_left() -> None:
    state, _ = begun(plan_of(a="", b="a"))
    state, _ = after(state, started("a"), connected("a", down=2000), finished("a"))
    _, commands = after(state, RunStarted(engine="another"))
    assert lent(commands) == {"b": replace(RUN, connections=11, down_bytes=10_000)}


def test_who_goes_beyond_takes_it_from_the_rest_of_the_run() -> None:
    state, _ = begun(plan_of(a="", b="", c="a b"))
    _, commands = after(state, connected("a", up=700), finished("a"), failed("b", retryable=True))
    assert lent(commands) == {"b": replace(RUN, up_bytes=500, connections=11)}


def test_a_run_without_egress_is_lent_nothing() -> None:
    _, commands = after(State.start(plan_of(a="")), RunStarted(engine="e"))
    assert lent(commands) == {"a": None}


@pytest.mark.parametrize("seed", range(40))
def test_all_steps_together_never_use_more_than_their_run_may(seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - the same each time
    names = [f"s{number}" for number in range(chance.randint(1, 12))]
    needs = {name: " ".join(chance.sample(names[:at], chance.randint(0, min(at, 3)))) for at, name in enumerate(names)}
    state, commands = begun(plan_of(**needs))
    running = lent(commands)
    used = Traffic(open=0, connections=0, up_bytes=0, down_bytes=0)
    while running:
        step = chance.choice(list(running))
        part = running.pop(step)
        assert part is not None
        for _ in range(chance.randint(0, part.connections)):
            spent = Traffic(
                open=0,
                connections=1,
                up_bytes=chance.randint(0, part.up_bytes),
                down_bytes=chance.randint(0, part.down_bytes),
            )
            part, used = part.less(spent), used.more(spent)
            state, _ = advance(state, connected(step, up=spent.up_bytes, down=spent.down_bytes))
        lost = StepFailed(step=StepId(step), kind="unavailable", error="", retryable=True)
        state, commands = advance(state, lost if chance.random() < 0.2 else finished(step))
        running |= lent(commands)
        granted = [each for each in running.values() if each is not None]
        assert used.connections + sum(each.connections for each in granted) <= RUN.connections
        assert used.up_bytes + sum(each.up_bytes for each in granted) <= RUN.up_bytes
        assert used.down_bytes + sum(each.down_bytes for each in granted) <= RUN.down_bytes
