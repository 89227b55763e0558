"""What a sandbox is told and held to of its walls."""

from __future__ import annotations

import pytest

from flowray.engine.events import (
    StepFailed,
    StepStarted,
)
from flowray.runner.runner import Rules
from flowray.sandbox.limits import Limits
from tests.unit.runner.conftest import Started
from tests.unit.runner.kit import FakeNursery, Peer
from tests.unit.runner.steps import events_of, one_node, request_of


@pytest.mark.parametrize("pool", [(), ("b.org",)])
async def test_a_run_reaches_no_host_that_its_pool_does_not_grant(runner_with: Started, pool: tuple[str, ...]) -> None:
    specs = []

    async def script(peer: Peer) -> None:
        specs.append(await peer.spec())
        await peer.result()

    await events_of(await runner_with(script, egress=pool), request_of(egress=("a.org",)))

    assert specs[0]["egress"] == []


@pytest.mark.parametrize("packages", [None, (), ("numpy", "pandas")])
async def test_a_sandbox_is_told_what_its_code_may_import(
    runner_with: Started, packages: tuple[str, ...] | None
) -> None:
    specs = []

    async def script(peer: Peer) -> None:
        specs.append(await peer.spec())
        await peer.result()

    await events_of(await runner_with(script), request_of(packages=packages))

    assert specs[0]["packages"] == (None if packages is None else list(packages))


async def test_a_sandbox_is_held_to_the_limits_of_its_job(runner_with: Started) -> None:
    nursery = FakeNursery(one_node)

    await events_of(await runner_with(one_node, nursery=nursery, limits={"memory_mib": 256}))

    assert nursery.spawned[0].held == Limits(memory_mib=256)


async def test_every_step_says_which_walls_are_lowered_around_it(runner_with: Started) -> None:
    runner = await runner_with(one_node, lowered=("landlock",), tenant="acme")

    started = (await events_of(runner))[0]

    assert isinstance(started, StepStarted)
    assert started.degraded == ("landlock",)


async def test_a_runner_of_one_tenant_takes_no_other_s_steps(runner_with: Started) -> None:
    runner = await runner_with(one_node, tenant="globex")

    assert [event.kind for event in await events_of(runner) if isinstance(event, StepFailed)] == ["unavailable"]


def test_walls_are_lowered_for_one_tenant_only() -> None:
    with pytest.raises(ValueError, match="one tenant"):
        Rules(lowered=("seccomp",))
