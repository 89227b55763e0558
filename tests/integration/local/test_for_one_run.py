"""A zygote for a run or two: it starts without what many runs gain from, and they come to the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from flowray.local import Local
from tests.integration.local.conftest import Flows
from tests.integration.local.test_local import made_by
from tests.kit.examples import NAMES
from tests.kit.llm import Llm


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def brief(llm: Llm) -> AsyncIterator[Local]:
    async with Local(private=[llm.host], lasting=False) as started:
        yield started


@pytest.mark.parametrize("name", NAMES)
async def test_an_example_answers_the_same(name: str, brief: Local, local: Local, flows: Flows, llm: Llm) -> None:
    given = {"variables": llm.variables, "egress": [llm.host]}

    lasting, short = [await where.run(flows[name], **given) for where in (local, brief)]

    assert lasting.text
    assert short.text == lasting.text


async def test_only_a_lasting_one_is_prepared_for_many(brief: Local, local: Local) -> None:
    asks = "import sys; return Message(text=str('flowray_sandbox.preload' in sys.modules))"

    assert [await made_by(where, asks) for where in (local, brief)] == ["True", "False"]
