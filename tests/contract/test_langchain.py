"""A flow as a part of a LangChain chain."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.failures import ComponentFailedError
from flowray.engine.ports import RunRequest
from flowray.errors import InvalidRequestError, NotFoundError
from flowray.langchain import FlowRayRunnable
from flowray_serve.routes.application import build_app
from tests.contract.test_openai_sdk import talking
from tests.kit.server import serving
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, KEY, Service, service


@pytest.fixture(scope="module")
def made() -> Service:
    made = service()
    made.steps.script = talking
    return made


@pytest.fixture
async def bot(made: Service, url: str) -> FlowRayRunnable:
    return FlowRayRunnable(await made.publish(ECHO), url=url, key=KEY)


@pytest.mark.parametrize(
    "given", ["hi", HumanMessage("hi"), [AIMessage("before"), HumanMessage("hi")], {"input": "hi"}]
)
def test_a_flow_is_invoked_with_whatever_a_chain_hands_over(bot: FlowRayRunnable, given: object) -> None:
    assert bot.invoke(given) == "You said: hi"


def test_a_flow_is_a_link_of_a_chain(bot: FlowRayRunnable) -> None:
    chain = ChatPromptTemplate.from_messages([("human", "{greeting}!")]) | bot | RunnableLambda(str.upper)
    assert chain.invoke({"greeting": "hi"}) == "YOU SAID: HI!"


def test_a_flow_is_streamed_piece_by_piece(bot: FlowRayRunnable) -> None:
    assert list(bot.stream("hi")) == ["You ", "said: ", "hi"]


def test_several_inputs_are_several_runs(bot: FlowRayRunnable) -> None:
    assert bot.batch(["a", "b"]) == ["You said: a", "You said: b"]


async def test_nothing_blocks_where_it_is_awaited(bot: FlowRayRunnable) -> None:
    assert await bot.ainvoke("hi") == "You said: hi"
    assert [piece async for piece in bot.astream("hi")] == ["You ", "said: ", "hi"]
    assert await bot.abatch(["a", "b"]) == ["You said: a", "You said: b"]


def test_the_session_comes_from_the_config(bot: FlowRayRunnable, made: Service) -> None:
    bot.invoke("hi", config={"configurable": {"session_id": "ada"}})
    assert made.steps.requests[-1].session == "ada"


def test_what_goes_wrong_is_raised_as_what_it_is(bot: FlowRayRunnable, url: str) -> None:
    with pytest.raises(ComponentFailedError, match="no key"):
        bot.invoke("fail")
    with pytest.raises(ComponentFailedError, match="no key"):
        list(bot.stream("fail"))
    with pytest.raises(NotFoundError):
        FlowRayRunnable("missing", url=url, key=KEY).invoke("hi")
    with pytest.raises(InvalidRequestError, match="this is int"):
        bot.invoke(7)


async def test_a_flow_that_does_not_stream_says_all_at_its_end(made: Service, url: str) -> None:
    async def silent(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        for node in request.plan.by_id[step.step].nodes:
            yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, "all of it"))

    other = service()
    other.steps.script = silent
    flow = await other.publish(ECHO)
    with serving(build_app(other.services)) as there:
        assert list(FlowRayRunnable(flow, url=there, key=KEY).stream("hi")) == ["all of it"]
