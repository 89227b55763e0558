"""Whatever stands in a document, reading it gives a flow or says what is wrong with it."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.errors import FlowFormatError, FlowTooLargeError, TweakRefusedError
from flowray.flow.check import check_wiring
from flowray.flow.digest import digest
from flowray.flow.langflow import read, write
from flowray.flow.tweaks import tweak
from tests.unit.build import Raw, document, field, node, note, output
from tests.unit.flow.test_groups import group

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=8),
    st.sampled_from(["a", "b", "G", "x.in", "noteNode", "œ", "{œnameœ: 5}", "Message", "\ud800", [], {}]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def sound() -> Raw:
    """A flow with one of everything."""
    loop = node("loop", outputs=(output("item", "Message", allows_loop=True), output("done", "Message")))
    tool = node("tool", outputs=(output("component_as_tool", "Tool"),), tool_mode=True)
    agent = node("agent", fields=(field("tools", "Tool", list=True), field("in", "Message", required=True)))
    box = group("G", node("x"), node("y"), wires=("x.out > y.in",), shows={"x_in": "x.in"}, gives={"y_out": "y.out"})
    wires = ("tool.component_as_tool > agent.tools", "agent.out > G.x_in", "G.y_out > loop.in", "loop.item > body.in")
    return document(loop, tool, agent, box, node("body"), note(), wires=(*wires, "body.out >> loop.item"))


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, from the outside in."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from places(child, *path, key)


PLACES = list(places(sound()))


@given(
    changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3),
    send=st.sampled_from([json.dumps, copy.copy]),
)
@settings(max_examples=150, deadline=None)
def test_a_flow_with_anything_anywhere_is_read_or_refused(changes: list[tuple[Any, Any]], send: Any) -> None:
    doc = sound()
    for path, value in changes:
        put(doc, path, value)

    read_and_use(send(doc))


@given(source=VALUES | st.text() | st.binary())
@settings(max_examples=80, deadline=None)
def test_anything_at_all_is_read_or_refused(source: Any) -> None:
    read_and_use(source)


@given(tweaks=st.dictionaries(st.sampled_from(["agent", "G", "in", "code", "x_in", "?"]), VALUES, max_size=3))
@settings(max_examples=80, deadline=None)
def test_any_tweak_is_applied_or_refused(tweaks: Any) -> None:
    flow = read(sound())

    with contextlib.suppress(TweakRefusedError):
        digest(tweak(flow, tweaks))


def put(doc: Any, path: tuple[Any, ...], value: Any) -> None:
    """Exchange the value at a place of a document."""
    *way, last = path
    try:
        for key in way:
            doc = doc[key]
        doc[last] = copy.deepcopy(value)
    except (KeyError, IndexError, TypeError):
        return  # an earlier change took the place away


def read_and_use(source: Any) -> None:
    """Read, and do with the flow what everybody does: nothing else may be raised."""
    said, flow = "", None
    try:
        flow = read(source)
    except (FlowFormatError, FlowTooLargeError) as refusal:
        said = refusal.message
    if flow is None:
        assert 0 < len(said) < 500
        return
    assert all(finding.message for finding in check_wiring(flow))
    assert digest(flow) == digest(read(write(flow)))
