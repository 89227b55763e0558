"""Runs of a real service as a collector gets to see them."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Mapping

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.kit.door import Door, Refused
from tests.kit.otlp import Receiver
from tests.kit.probes import probe, probe_node, source
from tests.kit.reference import Reference
from tests.kit.subflows import calling, echo

_WITHIN_S = 60


def seen(traces: Receiver, trace: str, *, whole: Callable[[Mapping[str, Span]], bool]) -> Mapping[str, Span]:
    """The spans of a trace by name, once they are there."""
    patience_ends = time.monotonic() + _WITHIN_S
    while True:
        found = {span.name: span for span in traces.spans(trace)}
        if whole(found):
            return found
        assert time.monotonic() < patience_ends, list(found)
        time.sleep(0.2)


def facts_of(span: Span) -> Mapping[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def test_a_run_and_the_run_that_it_started_are_one_trace_below_their_callers_span(door: Door, traces: Receiver) -> None:
    child = door.publish(echo("Told below"))
    parent = door.publish(calling(child, "Told below", name="Told above"))
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"traceparent": f"00-{trace}-{caller}-01"}

    door.http.post(f"/api/v1/run/{parent}", json={"input_value": "hello"}, headers=headers).raise_for_status()

    names = {"run Told above", "run Told below", "RunFlow-R"}
    found = seen(traces, trace, whole=lambda spans: names <= set(spans))
    above, below, node = (found[name] for name in ("run Told above", "run Told below", "RunFlow-R"))
    by_id = {span.span_id: span.name for span in found.values()}
    assert above.parent_span_id.hex() == caller
    assert by_id[node.parent_span_id].startswith("step ")
    assert below.parent_span_id == node.parent_span_id
    assert above.start_time_unix_nano <= node.start_time_unix_nano <= below.start_time_unix_nano
    assert below.end_time_unix_nano <= above.end_time_unix_nano
    assert facts_of(below)["flowray.flow"] == "Told below"


def test_a_run_that_fails_says_where_and_its_trace_is_found_by_its_id(
    door: Door, traces: Receiver, reference: Reference
) -> None:
    flow = probe(reference, source(body="raise RuntimeError('out of tea')")) | {"name": "Told of failure"}
    try:
        door.run(door.publish(flow), "secret words")
    except Refused as refused:
        run = str(refused.problem["run"])

    found = seen(traces, uuid.UUID(run).hex, whole=lambda spans: "run Told of failure" in spans)

    told, node = found["run Told of failure"], found[probe_node(flow)]
    assert told.status.code == node.status.code == 2
    assert "out of tea" in node.status.message
    assert facts_of(told)["flowray.failed_node"] == probe_node(flow)
    assert facts_of(told)["flowray.tenant"] == "default"
    assert not any(b"secret words" in span.SerializeToString() for span in found.values())
