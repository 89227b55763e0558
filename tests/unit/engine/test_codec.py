from typing import Any

import orjson
import pytest

from flowray.engine.codec import EventFormatError, as_json, decode, encode, kind_of
from flowray.engine.events import (
    Event,
    Log,
    NodeFinished,
    Recorded,
    RunFinished,
    RunId,
    RunPaused,
)
from flowray.engine.values import Value
from flowray.flow.types import NodeId
from tests.unit.engine.happenings import text

RUN = RunId("run-1")
NODE = NodeId("node-1")


def recorded(event: Event) -> Recorded:
    return Recorded(seq=7, at=12.5, run=RUN, event=event)


def test_an_event_is_one_flat_object() -> None:
    log = Log(node=NODE, text="line", stream="stdout", name="")
    assert as_json(recorded(log)) == {
        "seq": 7,
        "at": 12.5,
        "run": "run-1",
        "kind": "log",
        "node": "node-1",
        "text": "line",
        "stream": "stdout",
        "name": "",
    }


def test_kinds_are_written_with_underscores() -> None:
    assert kind_of(RunFinished(status="succeeded")) == "run_finished"


def test_a_failures_kind_does_not_hide_the_events() -> None:
    plain = as_json(recorded(RunFinished(status="failed", kind="timeout")))
    assert (plain["kind"], plain["failure"]) == ("run_finished", "timeout")


def test_what_a_later_version_added_is_passed_over() -> None:
    written = orjson.loads(encode(recorded(NodeFinished(node=NODE, outputs={"out": text("x")}))))
    written["outputs"]["out"]["language"] = "de"
    written["colour"] = "red"
    assert decode(orjson.dumps(written)) == recorded(NodeFinished(node=NODE, outputs={"out": text("x")}))


def test_a_pause_keeps_its_request() -> None:
    pause = RunPaused(request={"key": "not a ref"})
    assert decode(encode(recorded(pause))).event == pause


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        ({"seq": 1, "at": 0, "run": "r", "kind": "dinner_served"}, "`dinner_served` is no kind of event"),
        ({"seq": 1, "at": 0, "run": "r", "kind": "node_finished", "node": "n"}, "`node_finished` lacks outputs"),
        ({"seq": 1, "at": 0, "kind": "log", "node": "n", "text": ""}, "KeyError\\('run'\\)"),
        ({"seq": 1, "at": 0, "run": "r", "kind": "node_finished", "node": "n", "outputs": {"a": 1}}, "TypeError"),
        (["a", "list"], "TypeError"),
    ],
)
def test_what_is_no_event_is_refused(plain: Any, complaint: str) -> None:
    with pytest.raises(EventFormatError, match=complaint):
        decode(orjson.dumps(plain))


def test_deep_values_survive() -> None:
    deep: Any = "bottom"
    for _ in range(400):
        deep = [deep]
    event = NodeFinished(node=NODE, outputs={"out": Value(type="list", json=deep)})
    assert decode(encode(recorded(event))).event == event
