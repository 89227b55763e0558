from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowray
from flowray.errors import FlowFormatError, FlowInvalidError, InvalidRequestError, TweakRefusedError
from flowray.flow.types import Flow
from flowray.local import Local, image_for
from flowray.sandbox.image import Image
from tests.unit.build import field, flow_of, node

NO_IMAGE = Image(name="none", digest="", python=Path("python"), site_packages=Path(), base_prefix=Path())


def drawn() -> Flow:
    fields = (
        field("text"),
        field("count", type="int"),
        field("files", type="file", list=True, file_path=""),
    )
    return flow_of(node("a", fields=fields), node("b", fields=(field("text"),)), id="f-1")


def value(flow: Flow, node_id: str, name: str) -> object:
    return next(one for one in flow.nodes if one.id == node_id).fields[name].value


async def test_node_and_field_name_a_value() -> None:
    request = await Local(NO_IMAGE).prepare(drawn(), **{"a.text": "hi", "input_value": "in", "session": "s"})
    assert (value(request.flow, "a", "text"), value(request.flow, "b", "text")) == ("hi", "")
    assert (request.input_value, request.session) == ("in", "s")


async def test_in_an_event_loop_the_call_to_await_is_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"await flowray\.arun"):
        flowray.run(drawn())
    with pytest.raises(InvalidRequestError, match=r"await asyncio\.to_thread\(flowray\.expand"):
        flowray.expand({"a": "name: a"})


def test_fusion_is_one_of_two_words() -> None:
    with pytest.raises(InvalidRequestError, match="auto or none, not `bogus`"):
        flowray.plan(drawn(), fusion="bogus")  # type: ignore[arg-type]


@pytest.mark.parametrize("specs", ["text", {"a": 1}])
def test_descriptions_that_come_without_a_name_are_refused(specs: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"flowray\.expand\(\{"):
        flowray.expand(specs)


async def test_a_bare_name_is_the_field_of_every_node_that_has_it() -> None:
    request = await Local(NO_IMAGE).prepare(drawn(), text="both")
    assert [value(request.flow, node_id, "text") for node_id in "ab"] == ["both", "both"]


async def test_numbers_may_come_as_text() -> None:
    request = await Local(NO_IMAGE).prepare(drawn(), **{"a.count": "3"})
    assert value(request.flow, "a", "count") == 3
    with pytest.raises(InvalidRequestError, match="takes a int"):
        await Local(NO_IMAGE).prepare(drawn(), **{"a.count": "three"})


async def test_a_file_of_the_caller_goes_into_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    request = await Local(NO_IMAGE).prepare(drawn(), **{"a.files": str(tmp_path / "note.txt")})
    assert value(request.flow, "a", "files") == "f-1/note.txt"
    assert request.files["f-1/note.txt"].size == 5


async def test_a_file_that_only_the_flow_names_stays_where_it_is() -> None:
    fields = (field("files", type="file", file_path="/etc/passwd"),)
    request = await Local(NO_IMAGE).prepare(flow_of(node("a", fields=fields)))
    assert request.files == {}


async def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(TweakRefusedError):
        await Local(NO_IMAGE).prepare(drawn(), **{"c.text": "x"})


async def test_a_flow_with_errors_does_not_start() -> None:
    with pytest.raises(FlowInvalidError, match="have the id"):
        await Local(NO_IMAGE).prepare(flow_of(node("a"), node("a")))


def test_a_flow_is_loaded_from_a_file_its_text_or_its_document(tmp_path: Path) -> None:
    text = '{"name": "n", "data": {"nodes": [], "edges": []}}'
    (tmp_path / "flow.json").write_text(text)
    loaded = [flowray.load(source) for source in (tmp_path / "flow.json", str(tmp_path / "flow.json"), text)]
    assert [flow.name for flow in loaded] == ["n", "n", "n"]
    with pytest.raises(InvalidRequestError, match="No such file"):
        flowray.load(tmp_path / "other.json")


@pytest.mark.parametrize("source", [5, None, ["a"]])
def test_what_is_no_export_at_all_is_refused_with_what_is_taken(source: Any) -> None:
    with pytest.raises(InvalidRequestError, match="a path, text, bytes or a parsed document, not"):
        flowray.load(source)


@pytest.mark.parametrize("text", ['\ufeff{"name": "n", "nodes": []}', '\n {"name": "n", "nodes": []}'])
def test_text_of_a_flow_is_known_for_it_behind_a_byte_order_mark_and_line_breaks(text: str) -> None:
    assert flowray.load(text).name == "n"


@pytest.mark.parametrize("text", ["[\n]", "a\0b"])
def test_text_that_can_be_no_path_is_taken_for_a_bad_document(text: str) -> None:
    with pytest.raises(FlowFormatError):
        flowray.load(text)


def test_what_can_be_no_path_for_its_length_is_not_shown_whole() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        flowray.load("[" + "1," * 100_000 + "1]")

    assert len(refused.value.message) < 400


@pytest.mark.parametrize("verb", [flowray.check, flowray.plan, lambda flow: asyncio.run(flowray.arun(flow))])
def test_what_was_not_loaded_yet_is_no_flow(verb: Callable[[Any], object]) -> None:
    with pytest.raises(InvalidRequestError, match="takes a flow, not str"):
        verb("flow.json")


@pytest.mark.parametrize(
    ("values", "instead"),
    [
        ({"egress": "api.test"}, '["api.test"]'),
        ({"variables": ["KEY"]}, 'variables={"OPENAI_API_KEY": "..."}'),
        ({"variables": {"KEY": 1}}, 'variables={"OPENAI_API_KEY": "..."}'),
        ({"output_type": "chart"}, "`output_type` is one of chat, text, any, debug, not `chart`"),
        ({"input_type": 5}, "`input_type` is one of chat, text, any, not `5`"),
    ],
)
async def test_values_of_the_wrong_shape_are_refused_with_the_right_one(values: dict[str, Any], instead: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await Local(NO_IMAGE).prepare(drawn(), **values)

    assert instead in refused.value.message


def test_hosts_of_ones_own_network_are_a_list_as_others_are() -> None:
    with pytest.raises(InvalidRequestError, match=r'\["nas"\]'):
        Local(NO_IMAGE, private="nas")


def test_planning_survives_the_package_of_the_same_name() -> None:
    import flowray.plan.show

    assert len(flowray.plan(drawn(), fusion="none").steps) == 2


def test_importing_flowray_brings_nothing_heavy() -> None:
    code = (
        "import sys, flowray; print(*(sys.modules.keys() & {'ray', 'lfx', 'fastapi', 'networkx', 'obstore', 'redis'}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == ""


def test_nodes_of_two_frameworks_do_not_fit_into_one_sandbox_of_this_machine() -> None:
    flow = flow_of(node("a", "HaystackPipeline", code=None), node("b", "LlamaIndexEngine", code=None))

    with pytest.raises(InvalidRequestError, match="`haystack` and `llamaindex`"):
        image_for(flow)
