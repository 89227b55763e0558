from __future__ import annotations

from typing import Any

import orjson
import pytest

from flowray.engine.events import (
    BranchStopped,
    ContextChanged,
    Log,
    MessageAdded,
    NodeFailed,
    NodeFinished,
    NodePaused,
    NodeStarted,
    Token,
)
from flowray.engine.values import Value
from flowray.errors import ChannelError
from flowray.flow.types import NodeId
from flowray.runner.claims import PRINTED_LIMIT_BYTES, Claims, Unstored
from flowray.runner.frames import Caps
from flowray.runner.masking import Mask

A, B = NodeId("a"), NodeId("b")


def claims(*secrets: str) -> Claims:
    return Claims(nodes=frozenset({A}), known=frozenset({A, B, NodeId("1")}), mask=Mask(secrets), caps=Caps())


def said(kind: str, /, **facts: Any) -> bytes:
    return orjson.dumps({"kind": kind, "node": "a", **facts})


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (said("node_started"), NodeStarted(node=A)),
        (said("token", text="hi", message="m1"), Token(node=A, text="hi", message="m1")),
        (said("message", message={"text": "hi"}), MessageAdded(node=A, message={"text": "hi"})),
        (said("log", text="x", stream="stdout"), Log(node=A, text="x", stream="stdout")),
        (orjson.dumps({"kind": "log", "node": None, "text": "x"}), Log(node=NodeId(""), text="x")),
        (said("node_failed", error="no"), NodeFailed(node=A, error="no")),
        (said("context", values={"k": 1}), ContextChanged(node=A, values={"k": 1})),
        (
            said("branch_stopped", output="true", nodes=["b"], lasting=True),
            BranchStopped(node=A, output="true", nodes=(B,), lasting=True),
        ),
        (
            said(
                "node_finished",
                outputs={"out": {"type": "text", "json": "t"}},
                result={"r": 1},
                took_s=1,
                usage={"n": 2},
            ),
            NodeFinished(
                node=A, outputs={"out": Value(type="text", json="t")}, result={"r": 1}, took_s=1.0, usage={"n": 2}
            ),
        ),
    ],
)
def test_each_kind_of_event_is_read(payload: bytes, event: object) -> None:
    assert claims().event(payload) == event


@pytest.mark.parametrize(
    "payload",
    [
        said("no_such_kind"),
        said("node_started", node="b"),
        said("node_started", node=["a"]),
        said("log", text="x", node="b"),
        said("log", text="x", stream="secret"),
        said("log", text="x", stream=[]),
        said("token", text=1),
        said("message", message="text"),
        said("branch_stopped", output="o", nodes=["c"]),
        said("branch_stopped", output="o", nodes=[{}]),
        said("branch_stopped", output="", nodes=[]),
        said("branch_stopped", output="o", nodes=[1]),
        said("context", values=[]),
        said("node_finished", outputs=[]),
        said("node_finished", outputs={"out": 1}),
        said("node_finished", outputs={"out": {"type": []}}),
        said("node_finished", outputs={"out": {"type": "pickle", "json": 1}}),
        said("node_finished", outputs={"out": {"type": "text", "blob": 0}}),
        said("node_finished", outputs={"out": {"type": "text", "blob": True}}),
        said("node_finished", outputs={"o" * 501: {"type": "none"}}),
        said("node_finished", outputs={}, took_s=-1),
        said("node_finished", outputs={}, took_s=1.7e308),
        said("node_started", after_s=1e8),
        said("node_finished", outputs={}, usage={"n": "1"}),
        said("node_finished", outputs={}, usage=[1]),
    ],
)
def test_what_does_not_fit_the_step_is_a_violation(payload: bytes) -> None:
    with pytest.raises(ChannelError):
        claims().event(payload)


def test_secrets_are_starred_in_what_people_read() -> None:
    payload = said("node_failed", error="key sk-1234 refused", traceback="sk-1234")
    assert claims("sk-1234").event(payload) == NodeFailed(node=A, error="key ***** refused", traceback="*****")


def test_a_secret_that_is_also_a_word_of_the_protocol_breaks_nothing() -> None:
    payload = said("token", text="node text kind")
    assert claims("node", "text", "kind", "token").event(payload) == Token(node=A, text="***** ***** *****")


def test_an_output_that_holds_a_secret_goes_to_the_store_as_it_is() -> None:
    outputs = {"key": {"type": "text", "json": "sk-1234"}, "open": {"type": "number", "json": 1}}
    claim = claims("sk-1234").event(said("node_finished", outputs=outputs, result={"text": "sk-1234"}))
    assert isinstance(claim, Unstored)
    assert isinstance(claim.event, NodeFinished)
    assert claim.held == {"key": b"sk-1234"}
    assert isinstance(claim.event, NodeFinished)
    assert claim.event.outputs == {"key": Value(type="text"), "open": Value(type="number", json=1)}
    assert claim.event.result == {"text": "*****"}


def test_what_a_paused_node_wants_back_is_held_for_the_store() -> None:
    ear = claims()
    ear.blob(b"thread")
    claim = ear.event(said("node_paused", request={"request_id": "r1"}, state=0))
    assert claim == Unstored(event=NodePaused(node=A, request={"request_id": "r1"}), held={"": b"thread"})


def test_a_pause_without_a_request_breaks_the_rules() -> None:
    with pytest.raises(ChannelError, match="`request` is no object"):
        claims().event(said("node_paused", request="please"))


def test_only_a_providers_known_troubles_are_believed() -> None:
    told = [claims().event(said("node_failed", error="no", cause=cause)) for cause in ("rate_limit", "mine", 7)]
    assert told == [NodeFailed(node=A, error="no", cause=cause) for cause in ("rate_limit", "", "")]


def test_large_values_are_held_for_the_store() -> None:
    ear = claims()
    ear.blob(b"raw")
    outputs = {
        "blob": {"type": "bytes", "blob": 0},
        "long": {"type": "list", "json": ["x" * 70_000]},
        "short": {"type": "text", "json": "s"},
    }
    claim = ear.event(said("node_finished", outputs=outputs))
    assert isinstance(claim, Unstored)
    assert isinstance(claim.event, NodeFinished)
    assert claim.held == {"blob": b"raw", "long": orjson.dumps(["x" * 70_000])}
    assert isinstance(claim.event, NodeFinished)
    assert claim.event.outputs["short"] == Value(type="text", json="s")


def test_a_large_result_is_held_for_the_store() -> None:
    claim = claims("sk-1234").event(said("node_finished", outputs={}, result={"text": "sk-1234" + "x" * 300_000}))
    assert isinstance(claim, Unstored)
    assert claim.event == NodeFinished(node=A, outputs={}, result=None)
    assert claim.shown == orjson.dumps({"text": "*****" + "x" * 300_000})


def test_a_large_message_is_held_for_the_store() -> None:
    claim = claims().event(said("message", message={"text": "x" * 300_000}))
    assert claim == Unstored(event=MessageAdded(node=A, message=None), shown=orjson.dumps({"text": "x" * 300_000}))


def test_of_endless_printing_a_part_is_kept_and_the_rest_counted() -> None:
    ear = claims()
    line = said("log", text="x" * (PRINTED_LIMIT_BYTES // 4), stream="stdout")
    kept = [event for event in (ear.event(line) for _ in range(10)) if event]
    assert len(kept) == 5
    assert isinstance(kept[-1], Log)
    assert "dropped" in kept[-1].text
    assert ear.event(said("log", text="other stream", stream="stderr"))
