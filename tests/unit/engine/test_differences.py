"""Two runs held against each other."""

from __future__ import annotations

from flowray.engine.differences import Difference, differences
from flowray.engine.events import Event, NodeFailed, NodeFinished, Recorded, RunId
from flowray.engine.values import Ref, Value
from flowray.flow.types import Json, NodeId


def told(*events: Event) -> list[Recorded]:
    return [Recorded(seq=seq, at=1.0, run=RunId("r"), event=event) for seq, event in enumerate(events, 1)]


def message(node: str, **said: Json) -> NodeFinished:
    return NodeFinished(node=NodeId(node), outputs={"out": Value(type="message", json=said)})


def test_runs_that_said_the_same_do_not_differ_in_what_is_new_each_time() -> None:
    before = told(message("a", text="hi", timestamp="1", id="x", data={"timestamp": "1"}))
    assert differences(before, told(message("a", text="hi", timestamp="2", id="y", data={"timestamp": "2"}))) == ()


def test_the_first_difference_is_the_first_that_the_second_run_came_to() -> None:
    found = differences(
        told(message("a", text="1"), message("b", text="2"), message("c", text="3")),
        told(message("a", text="1"), message("c", text="4"), message("b", text="5")),
    )
    assert [one.node for one in found] == ["c", "b"]


def test_a_node_that_failed_or_is_missing_differs() -> None:
    found = differences(
        told(message("a", text="1"), message("b", text="2")), told(NodeFailed(node=NodeId("a"), error="x"))
    )
    assert found == (
        Difference(node=NodeId("a"), before={"out": {"text": "1"}}, now={"error": "x"}),
        Difference(node=NodeId("b"), before={"out": {"text": "2"}}, now=None),
    )


def test_stored_values_are_told_by_their_content() -> None:
    one = NodeFinished(node=NodeId("a"), outputs={"out": Value(type="bytes", ref=Ref(key="k1", size=1, sha256="s"))})
    same = NodeFinished(node=NodeId("a"), outputs={"out": Value(type="bytes", ref=Ref(key="k2", size=1, sha256="s"))})
    assert differences(told(one), told(same)) == ()
