"""Tweaks change values for one run, the way Langflow applies them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from flowray.errors import TweakRefusedError
from flowray.flow.langflow import read, write
from flowray.flow.tweaks import tweak
from flowray.flow.types import Flow, NodeId
from tests.unit.build import field, flow_of, node
from tests.unit.flow.test_groups import group


def value_of(flow: Flow, node_id: str, name: str) -> Any:
    """The value as the run will read it, seen alike by the typed field and the raw node."""
    found = flow.by_id[NodeId(node_id)]
    raw = found.raw["data"]["node"]["template"][name]
    assert found.fields[name].value == (raw.get("file_path") if raw["type"] == "file" else raw["value"])
    return found.fields[name].value


def models() -> Flow:
    """Two nodes with a `model` each, one of them with more."""
    more = (field("model"), field("temperature", type="float", value=0.1))
    return flow_of(
        node("a", fields=(field("model"),), display_name="First"), node("b", fields=more, display_name="Second")
    )


def test_a_node_is_named_by_its_id() -> None:
    flow = tweak(models(), {"b": {"temperature": 0.9, "model": "m"}})

    assert (value_of(flow, "b", "temperature"), value_of(flow, "b", "model")) == (0.9, "m")
    assert value_of(flow, "a", "model") == ""


def test_a_node_is_named_by_its_display_name() -> None:
    flow = tweak(models(), {"Second": {"temperature": 0.9}})

    assert value_of(flow, "b", "temperature") == 0.9


def test_a_field_name_counts_for_every_node_that_has_it() -> None:
    flow = tweak(models(), {"model": [{"name": "gpt"}]})

    assert value_of(flow, "a", "model") == value_of(flow, "b", "model") == [{"name": "gpt"}]


def test_a_field_name_outdoes_a_node() -> None:
    flow = tweak(models(), {"model": "all", "a": {"model": "one"}})

    assert value_of(flow, "a", "model") == "all"


def test_the_flow_given_stays_as_it_is_and_untouched_nodes_are_shared() -> None:
    before = models()

    after = tweak(before, {"b": {"model": "m"}})

    assert value_of(before, "b", "model") == ""
    assert after.nodes[0] is before.nodes[0]


def test_no_tweaks_give_the_same_flow() -> None:
    flow = models()

    assert tweak(flow, {}) is flow
    assert tweak(flow, {"a": {}, "gone": {}}) is flow


def test_a_tweak_replaces_a_stored_variable() -> None:
    flow = flow_of(node("a", fields=(field("key", load_from_db=True, value="OPENAI_API_KEY"),)))

    tweaked = tweak(flow, {"a": {"key": "sk-1"}})

    assert not tweaked.nodes[0].fields["key"].load_from_db
    assert value_of(tweaked, "a", "key") == "sk-1"


def test_a_tweak_may_name_a_stored_variable() -> None:
    flow = flow_of(node("a", fields=(field("key", load_from_db=False),)))

    tweaked = tweak(flow, {"a": {"key": {"value": "MY_KEY", "load_from_db": True}}})

    assert tweaked.nodes[0].fields["key"].load_from_db
    assert value_of(tweaked, "a", "key") == "MY_KEY"


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("str", {"value": "x"}, "x"),
        ("dict", {"a": 1}, {"a": 1}),
        ("dict", {"value": {"a": 1}}, {"a": 1}),
        ("dict", [{"key": "a", "value": 1}], [{"key": "a", "value": 1}]),
        ("NestedDict", '{"a": [1]}', {"a": [1]}),
        ("NestedDict", "{half", "{half"),
        ("NestedDict", {"a": 1}, {"a": 1}),
        ("mcp", {"name": "server", "config": {}}, {"name": "server", "config": {}}),
        ("file", "t/x.txt", "t/x.txt"),
        ("file", {"file_path": "t/x.txt"}, "t/x.txt"),
        ("file", {"value": "t/x.txt"}, "t/x.txt"),
        ("file", ["t/x.txt", "t/y.txt"], ["t/x.txt", "t/y.txt"]),
    ],
)
def test_what_a_value_means_depends_on_the_fields_type(kind: str, given: Any, expected: Any) -> None:
    flow = flow_of(node("a", fields=(field("x", type=kind),)))

    assert value_of(tweak(flow, {"a": {"x": given}}), "a", "x") == expected


def test_stream_is_set_where_a_node_can_stream() -> None:
    flow = flow_of(node("a", fields=(field("stream", type="bool", value=False),)), node("b"))

    assert value_of(tweak(flow, {}, stream=True), "a", "stream") is True
    assert value_of(tweak(flow, {"stream": False}, stream=True), "a", "stream") is False


def test_a_group_is_tweaked_by_the_fields_it_shows() -> None:
    flow = flow_of(group("G", node("x"), shows={"x_in": "x.in"}, gives={}, display_name="Box"))

    assert value_of(tweak(flow, {"G": {"x_in": "1"}}), "x", "in") == "1"
    assert value_of(tweak(flow, {"Box": {"x_in": "2"}}), "x", "in") == "2"


@pytest.mark.parametrize(
    ("component", "name", "value"),
    [
        ("Any", "code", "import os"),
        ("Any", "snippet", "import os"),
        ("PythonREPLComponent", "global_imports", "os"),
        ("Smart Transform", "filter_instruction", "x"),
        ("SQLComponent", "database_url", "sqlite://"),
        ("BingSearchAPIComponent", "bing_search_url", "http://evil"),
        ("Any", "plain", {"value": "x", "proxy": {"id": "y", "field": "code"}}),
    ],
)
def test_what_is_executed_or_privileged_is_refused(component: str, name: str, value: Any) -> None:
    names = ("global_imports", "filter_instruction", "database_url", "bing_search_url", "plain")
    fields = (field("snippet", type="code"), *(field(each) for each in names))
    flow = flow_of(node("a", component, fields=fields))

    every: list[dict[str, Any]] = [{"a": {name: value}}, *([{name: value}] if isinstance(value, str) else [])]
    for tweaks in every:
        with pytest.raises(TweakRefusedError, match=f"`{name}` keeps the value its author gave it"):
            tweak(flow, tweaks)


def test_source_shown_by_a_group_is_refused() -> None:
    flow = flow_of(group("G", node("x"), shows={"shown": "x.code"}, gives={}, shown={"value": "y = 2"}))

    with pytest.raises(TweakRefusedError, match="keeps the value"):
        tweak(flow, {"G": {"shown": "import os"}})


@pytest.mark.parametrize(
    ("tweaks", "said"),
    [
        ({"c": {"model": 1}}, "name `c`, but the flow has no such node."),
        ({"Secnd": {"model": 1}}, "name `Secnd`, but the flow has no such node. Did you mean `Second`?"),
        ({"b": {"temprature": 1}}, "Node `b` has no field `temprature`. Did you mean `temperature`?"),
        ({"modle": 1}, "No node has the field `modle`. Did you mean `model`?"),
        ({"b": "hi"}, "`b` is a node: give an object of its fields."),
        ({"First": None}, "`First` is a node: give an object of its fields."),
        ({"a": {"model": {"type": 5}}}, "`template.model.type`: expected text, got a number"),
        ({"a": {"model": math.nan}}, "JSON cannot carry the number nan"),
        ({"a": {"model": "\ud800"}}, "lone surrogate"),
        ({"a": {"model": object()}}, "JSON cannot carry a object"),
    ],
)
def test_a_mistaken_tweak_is_refused_with_its_remedy(tweaks: dict[str, Any], said: str) -> None:
    with pytest.raises(TweakRefusedError) as caught:
        tweak(models(), tweaks)

    assert said in caught.value.message


def sized(value: Any = 1, **facts: Any) -> Flow:
    """A node with a field of each kind that wants a number, and a switch."""
    kinds = (("size", "int", "IntInput"), ("heat", "float", "FloatInput"), ("dial", "slider", "SliderInput"))
    numbers = (field(name, type=kind, _input_type=of, value=value, **facts) for name, kind, of in kinds)
    return flow_of(node("a", fields=(*numbers, field("on", type="bool", _input_type="BoolInput"))))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("size", "abc", "expected a whole number, got text"),
        ("size", "inf", "expected a whole number, got text"),
        ("size", [1], "expected a whole number, got a list"),
        ("size", {"value": "abc"}, "expected a whole number, got text"),
        ("heat", "warm", "expected a number, got text"),
        ("dial", [], "expected a number, got a list"),
    ],
)
def test_what_no_number_can_be_made_of_is_refused_with_its_node_and_field(name: str, value: Any, said: str) -> None:
    with pytest.raises(TweakRefusedError) as caught:
        tweak(sized(), {"a": {name: value}})

    assert f"The tweaks of node `a`, `{name}`: {said}." in caught.value.message


@pytest.mark.parametrize("value", [5, 5.7, True, None, "", " ", "5", "5.7", "1e3", " 1_000 "])
def test_what_lfx_makes_a_number_of_is_let_through(value: Any) -> None:
    tweaked = tweak(sized(), {"a": dict.fromkeys(("size", "heat", "dial", "on"), value)})

    assert value_of(tweaked, "a", "size") == value


@pytest.mark.parametrize(
    ("flow", "tweaks"),
    [
        (sized(), {"heat": "nan", "dial": "warm", "on": "abc"}),
        (sized(), {"size": {"value": "SIZE", "load_from_db": True}}),
        (sized("abc"), {"size": {"advanced": True}}),
        (sized(list=True), {"size": [1]}),
        (sized(show=False), {"size": "abc"}),
        (flow_of(node("a", fields=(field("size", type="int"),))), {"size": "abc"}),
    ],
)
def test_where_it_is_in_doubt_lfx_is_to_say(flow: Flow, tweaks: dict[str, Any]) -> None:
    assert tweak(flow, {"a": tweaks}) is not flow


def test_a_value_that_an_edge_replaces_has_to_fit_nothing() -> None:
    size = field("size", "Message", type="int", _input_type="IntInput")
    flow = flow_of(node("a"), node("b", fields=(size,)), wires=("a.out > b.size",))

    assert value_of(tweak(flow, {"b": {"size": "abc"}}), "b", "size") == "abc"


def test_a_group_is_no_field_either() -> None:
    flow = flow_of(group("G", node("x"), shows={"x_in": "x.in"}, gives={}, display_name="Box"))

    with pytest.raises(TweakRefusedError, match="`Box` is a group: give an object of its fields"):
        tweak(flow, {"Box": 5})


@pytest.mark.parametrize("value", [json.loads("[" * 193 + "]" * 193), "[" * 193 + "]" * 193])
def test_a_value_too_deep_for_the_flow_it_comes_to_stand_in_is_refused(value: Any) -> None:
    flow = flow_of(node("a", fields=(field("x", type="NestedDict"),)))

    with pytest.raises(TweakRefusedError, match="field `x` is nested too deeply"):
        tweak(flow, {"a": {"x": value}})


def test_a_flow_with_the_deepest_tweak_that_is_taken_can_be_read_again() -> None:
    flow = tweak(models(), {"a": {"model": json.loads("[" * 192 + "]" * 192)}})

    assert read(write(flow)) == flow


def test_a_lenient_tweak_ignores_what_the_flow_does_not_have() -> None:
    flow = tweak(models(), {"gone": {"x": 1}, "a": {"gone": 1, "model": "m"}, "nowhere": 1}, lenient=True)

    assert value_of(flow, "a", "model") == "m"


def test_nothing_is_applied_when_anything_is_refused() -> None:
    flow = models()

    with pytest.raises(TweakRefusedError):
        tweak(flow, {"a": {"model": "m"}, "b": {"code": "x"}}, lenient=True)

    assert value_of(flow, "a", "model") == ""
