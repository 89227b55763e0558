"""A zygote for a run or two: it starts without what many runs gain from, and they come to the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import flowray
from flowray.errors import FlowFormatError
from flowray.flow.digest import digest
from flowray.local import Local
from tests.integration.local.conftest import Flows
from tests.integration.local.test_local import made_by
from tests.kit.examples import NAMES, example_file
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


async def test_a_file_in_compact_form_is_loaded_as_the_flow_that_it_stands_for(flows: Flows) -> None:
    drawn = await asyncio.to_thread(flowray.load, example_file("router"))

    assert digest(drawn) == digest(flows["router"])


async def test_a_file_in_compact_form_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.flow"
    file.write_text("name: Mine\n\nnodes:\n  A: NoSuchThing\n")

    with pytest.raises(FlowFormatError, match=r"mine\.flow: .*NoSuchThing"):
        await asyncio.to_thread(flowray.load, file)
