from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowray.engine.events import ConnectionEnded, Log, NodeFinished, NodeStarted, RunId, StepFinished, Token
from flowray.engine.failures import ComponentFailedError, RunFailedError, RunPausedError
from flowray.errors import TweakRefusedError
from flowray.flow.langflow import read
from flowray.flow.types import Flow
from flowray.local import Local
from flowray.plan.planner import plan
from tests.integration.local.conftest import Flows
from tests.kit.llm import Llm

COMPONENT = """
from lfx.custom import Component
from lfx.io import FileInput, MessageTextInput, Output
from lfx.schema.message import Message

class Mine(Component):
    display_name = "Mine"
    inputs = [
        MessageTextInput(name="value", display_name="Value"),
        *(FileInput(name=name, display_name=name, file_types=["txt"]) for name in ("first", "second")),
    ]
    outputs = [Output(name="out", display_name="Out", method="make", types=["Message"])]

    def make(self) -> Message:
        BODY
"""

ASKING = (
    "nodes:\n  A: ChatInput\n  B: HumanInput\n  C: ChatOutput\n\n"
    "edges:\n  A.message -> B.prompt\n  B.branch_approve -> C.input_value\n"
)


def own(body: str, *files: str) -> Flow:
    """A flow of one component whose output is made by this code; it has these fields for files."""
    template = {
        "_type": "Component",
        "code": {"type": "code", "name": "code", "value": COMPONENT.replace("BODY", body), "show": True},
        "value": {"type": "str", "name": "value", "value": "given", "input_types": ["Message"], "show": True},
        **{name: {"type": "file", "name": name, "value": "", "file_path": "", "show": True} for name in files},
    }
    outputs = [{"name": "out", "types": ["Message"], "method": "make", "selected": "Message", "value": "__UNDEFINED__"}]
    node = {"template": template, "outputs": outputs, "display_name": "Mine", "base_classes": ["Message"]}
    data: Any = {"id": "Mine-1", "type": "Mine", "node": node}
    return read(
        {"name": "Own", "data": {"nodes": [{"id": "Mine-1", "type": "genericNode", "data": data}], "edges": []}}
    )


async def made_by(local: Local, body: str) -> str:
    """The text that a component with this body makes."""
    async with aclosing(local.events(own(body))) as told:
        events = [recorded.event async for recorded in told]
    finished = next(event for event in events if isinstance(event, NodeFinished))
    return str(finished.outputs["out"].json["text"])


async def test_branches_are_joined(local: Local, flows: Flows) -> None:
    answer = await local.run(flows["report"], input_value="Write to ada@example.org before 2026-03-01.")
    assert answer.text
    assert "ada@example.org" in answer.text
    assert "2026-03-01" in answer.text


async def test_a_step_per_node_answers_the_same(local: Local, flows: Flows) -> None:
    request = await local.prepare(flows["report"], input_value="Write to ada@example.org before 2026-03-01.")
    parted = replace(request, run=RunId("apart"), plan=plan(request.flow, fusion="none"))
    assert len(parted.plan.steps) > len(request.plan.steps)
    assert (await local.answer(parted)).text == (await local.answer(request)).text


async def test_a_field_is_set_by_its_node_and_name(local: Local, flows: Flows) -> None:
    node = next(node.id for node in flows["report"].nodes if node.component == "ChatInput")
    answer = await local.run(flows["report"], **{f"{node}.input_value": "Only bob@example.org"})
    assert "bob@example.org" in str(answer.text)


async def test_a_field_that_is_not_there_is_refused_before_anything_starts(flows: Flows) -> None:
    with pytest.raises(TweakRefusedError, match="nope"):
        await Local().prepare(flows["report"], **{"ChatInput-Text.nope": "1"})


async def test_a_loop_runs_its_body_for_each_item(local: Local, flows: Flows) -> None:
    async with aclosing(local.events(flows["loop"])) as told:
        events = [recorded.event async for recorded in told]
    started = [event.node for event in events if isinstance(event, NodeStarted)]
    assert max(started.count(node) for node in started) > 1


async def test_a_run_that_waits_for_somebody_says_that_it_needs_a_service(local: Local) -> None:
    asking = await local.expand(ASKING)
    with pytest.raises(RunPausedError, match=r"Go on\?") as raised:
        await local.run(read(dict(asking)), input_value="Go on?")
    assert "flowray publish" in raised.value.message
    assert "/api/" not in raised.value.message
    assert raised.value.facts["human_request"]["allowed_decisions"] == ["approve", "reject"]


async def test_a_component_of_the_flow_s_own_runs(local: Local) -> None:
    async with aclosing(local.events(own("return Message(text=self.value.upper())"))) as told:
        events = [recorded.event async for recorded in told]
    finished = next(event for event in events if isinstance(event, NodeFinished))
    assert finished.outputs["out"].json["text"] == "GIVEN"
    ended = next(event for event in events if isinstance(event, StepFinished))
    assert ended.usage["cpu_s"] > 0


async def test_a_value_too_large_for_the_journal_goes_to_the_store(local: Local) -> None:
    async with aclosing(local.events(own("return Message(text='x' * 1_000_000)"))) as told:
        events = [recorded.event async for recorded in told]
    finished = next(event for event in events if isinstance(event, NodeFinished))
    ref = finished.outputs["out"].ref
    assert ref is not None
    assert ref.size > 1_000_000


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("raise ValueError('not my day')", ComponentFailedError, "Node `Mine-1` (Mine) failed: not my day"),
        ("import os; os._exit(7)", RunFailedError, "exit code 7"),
        ("import os; os.abort()", RunFailedError, "signal"),
        ("return Message(text=__import__('os').environ['SECRET_KEY'] + str(1 / 0))", ComponentFailedError, "division"),
    ],
)
async def test_a_component_that_fails_says_why(local: Local, body: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says.replace("(", r"\(").replace(")", r"\)")):
        await local.run(own(body), variables={"SECRET_KEY": "sk-12345"})


async def test_what_a_component_tells_of_its_secrets_is_starred(local: Local) -> None:
    body = "import os; key = os.environ['API_KEY']; print(key); raise ValueError('bad ' + key)"
    with pytest.raises(ComponentFailedError) as raised:
        await local.run(own(body), variables={"API_KEY": "sk-12345"})
    assert "bad *****" in raised.value.message
    assert "sk-12345" not in str(raised.value.facts)


async def test_closing_the_events_ends_the_run_and_its_sandbox(local: Local) -> None:
    async with aclosing(local.events(own("import time; time.sleep(60); return Message(text='')"))) as told:
        async for recorded in told:
            if isinstance(recorded.event, NodeStarted):
                break
    async with asyncio.timeout(10):
        assert (await local.run(own("return Message(text='next')"))).results == []


async def test_many_runs_at_once_do_not_meet(local: Local) -> None:
    body = "import os; p = '/tmp/mark'; seen = os.path.exists(p); open(p, 'w').close(); return Message(text=str(seen))"
    assert set(await asyncio.gather(*(made_by(local, body) for _ in range(12)))) == {"False"}


async def test_a_model_is_reached_through_the_gate_and_the_journal_says_so(
    local: Local, flows: Flows, llm: Llm
) -> None:
    wanted: Any = {"input_value": "Say hello", "variables": llm.variables, "egress": [llm.host]}
    async with aclosing(local.events(flows["chat"], **wanted)) as told:
        events = [recorded.event async for recorded in told]
    assert any(isinstance(event, Token) for event in events)
    reached = [event for event in events if isinstance(event, ConnectionEnded)]
    assert [(each.verdict, f"{each.host}:{each.port}") for each in reached] == [("allowed", llm.host)]
    assert reached[0].up_bytes > 0


async def test_a_model_that_the_run_may_not_reach_is_refused(local: Local, flows: Flows, llm: Llm) -> None:
    wanted: Any = {"input_value": "Say hello", "variables": llm.variables, "egress": ["example.org"]}
    with pytest.raises(ComponentFailedError):
        await local.run(flows["chat"], **wanted)


async def test_a_model_where_nothing_may_be_reached_says_so(local: Local, flows: Flows, llm: Llm) -> None:
    with pytest.raises(ComponentFailedError, match=r"can reach no host at all.* see `egress`"):
        await local.run(flows["chat"], input_value="Say hello", variables=llm.variables)


async def echo(local: Local, text: str, *, apart: bool, stream: bool) -> str | None:
    spec = "name: Echo\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n"
    request = await local.prepare(read(dict(await local.expand(spec))), input_value=text, stream=stream)
    if apart:
        request = replace(request, plan=plan(request.flow, fusion="none"))
    return (await local.answer(request)).text


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_text_of_megabytes_comes_back_whole(local: Local, *, apart: bool, stream: bool) -> None:
    text = "x" * 9_000_000
    assert await echo(local, text, apart=apart, stream=stream) == text


async def test_a_result_that_is_too_large_to_show_is_said_to_be_cut(local: Local) -> None:
    body = "return Message(text='x' * 16_500_000)"
    told = [one.event async for one in local.events(own(body))]
    assert any(isinstance(event, Log) and "cut where it is shown" in event.text for event in told)


async def test_an_agent_knows_what_was_said_in_its_session(local: Local, flows: Flows, llm: Llm) -> None:
    async def asked(text: str, session: str) -> str:
        llm.requests.clear()
        await local.run(flows["agent"], input_value=text, session=session, variables=llm.variables, egress=[llm.host])
        return json.dumps(llm.requests)

    await asked("My name is Ada.", "ada")

    assert "My name is Ada." in await asked("What is my name?", "ada")
    assert "My name is Ada." not in await asked("What is my name?", "eve")


async def test_files_of_one_name_are_two_files_and_nothing_of_a_run_is_kept(local: Local, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.txt").write_text(name)
    body = "print(open(self.first).read(), open(self.second).read()); return Message(text='x' * 1_000_000)"
    given = {f"Mine-1.{field}": str(tmp_path / name / "data.txt") for field, name in (("first", "a"), ("second", "b"))}

    async with aclosing(local.events(own(body, "first", "second"), **given)) as told:
        said = [recorded.event.text async for recorded in told if isinstance(recorded.event, Log)]

    assert "".join(said).strip() == "a b"
    assert [one async for one in local._objects.list("")] == []
