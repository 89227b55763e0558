from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from flowray.flow.langflow import read
from flowray.flow.types import Flow
from flowray.local import Local
from tests.kit.examples import NAMES, example
from tests.kit.llm import Llm

Flows = dict[str, Flow]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local(llm: Llm) -> AsyncIterator[Local]:
    async with Local(private=[llm.host]) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def flows(local: Local) -> Flows:
    return {name: read(dict(await local.expand(example(name)))) for name in NAMES}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One zygote serves all: they share its loop."""
    for item in items:
        if item.path.parent.name == "local" and item.path.parent.parent.name == "integration":
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
