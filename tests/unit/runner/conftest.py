from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from flowray.runner.pool import PoolSize
from flowray.runner.runner import Runner
from flowray.sandbox.limits import Limits
from tests.unit.runner.kit import FakeNursery, FakeObjects, Script

Started = Callable[..., Awaitable[Runner]]


@pytest.fixture
async def runner_with() -> AsyncIterator[Started]:
    """Start a Runner whose sandboxes follow a script."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, *, objects: FakeObjects | None = None, **wanted: Any) -> Runner:
            size = wanted.pop("size", None) or PoolSize(spares=1, wait_s=5, drain_s=5)
            limits = Limits(**wanted.pop("limits", {}))
            nursery = wanted.pop("nursery", None) or FakeNursery(script)

            async def born() -> FakeNursery:
                return nursery

            runner = Runner(born, objects=objects or FakeObjects(), size=size, limits=limits, **wanted)
            await runner.start()
            stack.push_async_callback(runner.close)
            return runner

        yield start
