from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.limits import Limits
from tests.unit.runner.kit import FakeNursery, FakeObjects, Script

Started = Callable[..., Awaitable[Runner]]


@pytest.fixture
async def runner_with() -> AsyncIterator[Started]:
    """Start a Runner whose sandboxes follow a script."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, *, objects: FakeObjects | None = None, **wanted: Any) -> Runner:
            nursery = wanted.pop("nursery", None) or FakeNursery(script)
            name = wanted.pop("name", "local")
            limits = Limits(**wanted.pop("limits", {}))
            rules = Rules(**{"size": PoolSize(spares=1, wait_s=5, drain_s=5), "limits": limits, **wanted})

            async def born() -> FakeNursery:
                return nursery

            runner = Runner(born, objects=objects or FakeObjects(), name=name, rules=rules)
            await runner.start()
            stack.push_async_callback(runner.close)
            return runner

        yield start
