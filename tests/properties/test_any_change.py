"""Two versions of a flow differ exactly where the digest says so."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.flow.changes import changes
from flowray.flow.digest import digest
from flowray.flow.langflow import read
from flowray.flow.types import Flow
from tests.unit.build import document, field, node

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=4,
)


FIELDS = st.dictionaries(
    st.sampled_from(["value", "show", "advanced", "options", "load_from_db"]), JSON, max_size=3
).map(lambda facts: {**field("in", "Message", list=True), **facts})


NODES = st.builds(
    lambda entry, code, extra: node("a", fields=(entry,), code=code, **extra),
    FIELDS,
    st.sampled_from(["x = 1", "x = 2", None]),
    st.dictionaries(st.sampled_from(["frozen", "tool_mode", "pinned", "made_up"]), st.booleans(), max_size=2),
)


@st.composite
def drawn_flows(draw: st.DrawFn) -> Flow:
    nodes = (draw(NODES), *(node(name) for name in draw(st.sets(st.sampled_from("bc")))))
    names = {one["id"] for one in nodes}
    wires = draw(st.sets(st.sampled_from(["a.out > b.in", "b.out > c.in", "a.out > c.in"])))
    held = tuple(wire for wire in sorted(wires) if {wire[0], wire[8]} <= names)
    own = draw(st.sampled_from([None, {"record": True}, {"record": 1}]))
    flow = document(*nodes, wires=held)
    if own is not None:
        flow["data"]["flowray"] = own
    return read(flow)


@settings(max_examples=150)
@given(drawn_flows(), drawn_flows())
def test_there_is_a_change_exactly_when_the_digest_is_another(one: Flow, other: Flow) -> None:
    assert bool(changes(one, other)) == (digest(one) != digest(other))
