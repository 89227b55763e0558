from __future__ import annotations

from flowray.engine.events import NodeFinished, NodeStarted
from flowray.flow.types import NodeId
from flowray.runner.blame import Busy
from flowray.runner.verdict import Failure

A, B = NodeId("a"), NodeId("b")
TOO_LONG = Failure(kind="timeout", error="Too long.")


def busy_with(*nodes: NodeId) -> Busy:
    busy = Busy()
    busy.watch([NodeStarted(node=node) for node in nodes])
    return busy


def test_the_one_node_that_ran_is_named() -> None:
    assert busy_with(A).blame(TOO_LONG).node == A


def test_a_node_that_had_finished_is_not_named() -> None:
    busy = busy_with(A, B)

    busy.watch([NodeFinished(node=A, outputs={})])

    assert busy.blame(TOO_LONG).node == B


def test_of_several_that_ran_all_are_mentioned() -> None:
    failure = busy_with(A, B).blame(TOO_LONG)

    assert failure.node is None
    assert "a, b" in failure.error


def test_a_failure_that_names_its_node_is_left_alone() -> None:
    told = Failure(kind="component", error="no", node=B)

    assert busy_with(A).blame(told) is told
