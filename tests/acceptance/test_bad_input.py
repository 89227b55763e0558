"""Whatever arrives, the answer is a clear error in bounded time, and the service goes on serving others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.door import Door, Refused
from tests.kit.probes import many_nodes, probe, probe_node, source
from tests.kit.reference import Reference

# Bounded, and not the machine's speed: a service that parsed, ran or waited without an end would pass neither.
PROMPTLY_S = 60
PATIENTLY_S = 180
JSON_TYPE = {"content-type": "application/json"}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def echo(reference: Reference) -> dict[str, Any]:
    return reference.expand(
        "name: Echo\nnodes:\n  A: ChatInput\n  B: ChatOutput\nedges:\n  A.message -> B.input_value\n"
    )


@pytest.fixture(scope="module")
def echo_id(door: Door, echo: dict[str, Any]) -> str:
    return door.publish(echo)


@pytest.fixture(autouse=True)
def still_serving(door: Door, echo_id: str) -> Iterator[None]:
    yield
    started = time.monotonic()
    assert door.run(echo_id, "still there?").text == "still there?"
    assert time.monotonic() - started < PROMPTLY_S


def refusal(response: httpx.Response) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert response.headers["content-type"].startswith("application/problem+json")
    assert 400 <= response.status_code < 500, problem
    assert problem["detail"]
    return problem


def post(door: Door, body: bytes, path: str = "/api/v1/flows/") -> httpx.Response:
    started = time.monotonic()
    response = door.http.post(path, content=body, headers=JSON_TYPE)
    assert time.monotonic() - started < PROMPTLY_S
    return response


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{not json", "malformed_json"),
        (b"\xff\xfe\x00{", "malformed_json"),
        (b'{"name": "a", "data": {"nodes": [], "edges": [NaN]}}', "malformed_json"),
        (b'{"name": "\\ud800", "data": {"nodes": [], "edges": []}}', "malformed_json"),
        (b'{"name": "deep", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed_json"),
        (b"[1, 2, 3]", "invalid_request"),
        (b'"flow"', "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"name": "a", "data": 5}', "invalid_request"),
        (b'{"name": "a", "data": {"nodes": 5, "edges": []}}', "flow_format"),
        (b'{"name": "a", "data": {"nodes": [5], "edges": []}}', "flow_format"),
        (b'{"name": "a", "data": {"nodes": [{}], "edges": []}}', "flow_format"),
    ],
)
def test_a_body_that_is_no_flow_is_refused_with_its_place(body: bytes, code: str, door: Door) -> None:
    problem = refusal(post(door, body))

    assert problem["code"] == code


def test_a_run_body_that_is_not_json_is_refused(door: Door, echo_id: str) -> None:
    problem = refusal(post(door, b"{", f"/api/v1/run/{echo_id}"))

    assert problem["code"] == "malformed_json"


def test_a_hundred_megabytes_are_refused(door: Door) -> None:
    body = b'{"name": "big", "data": {"nodes": [], "edges": [], "filling": "' + b"x" * 100_000_000 + b'"}}'

    response = post(door, body)

    assert response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert refusal(response)["code"] == "request_too_large"


def test_five_thousand_nodes_are_taken_or_refused_in_bounded_time(door: Door) -> None:
    response = post(door, json.dumps(many_nodes(5_000)).encode())

    assert response.is_success or refusal(response)["code"] in {"flow_too_large", "flow_invalid"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.data())
def test_a_flow_with_any_value_in_any_place_never_breaks_the_service(
    drawn: st.DataObject, door: Door, echo: dict[str, Any]
) -> None:
    flow = deepcopy(echo)
    place = drawn.draw(st.sampled_from(list(containers(flow))))
    place[drawn.draw(st.sampled_from(keys(place)))] = drawn.draw(anything)

    response = post(door, json.dumps(flow).encode())

    assert response.is_success or refusal(response)


def containers(value: Any) -> Iterator[Any]:
    if not isinstance(value, dict | list) or not value:
        return
    yield value
    for inner in value.values() if isinstance(value, dict) else value:
        yield from containers(inner)


def keys(place: Any) -> list[Any]:
    return list(place) if isinstance(place, dict) else list(range(len(place)))


BROKEN = {
    "does not parse": ("def broken(:\n", "flow_invalid", "syntax"),
    "imports what is not there": (source(head="import not_there_at_all"), "missing_package", "not_there_at_all"),
    "raises at import": (source(head="BOOM = 1 / 0"), "flow_invalid", "zero"),
    "raises when run": (source(body="raise RuntimeError('out of tea')"), "component_failed", "out of tea"),
    "loops when run": (source(body="while True: pass"), "step_timeout", ""),
    "ends its process": (source(head="import os", body="os._exit(3)"), "sandbox_crashed", ""),
    "takes all memory": (source(body="hoard = bytearray(8 << 30)"), None, ""),
    "recurses without end": (source(body="def f(): f()\nf()"), "component_failed", "recursion"),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_a_component_that_misbehaves_fails_its_own_run_and_is_named(
    what: str, door: Door, reference: Reference
) -> None:
    code, problem_code, said = BROKEN[what]
    flow = probe(reference, code)
    started = time.monotonic()

    with pytest.raises(Refused) as refused:
        door.run(door.publish(flow), "hello")

    problem = refused.value.problem
    assert time.monotonic() - started < PATIENTLY_S
    assert problem_code is None or problem["code"] == problem_code
    assert problem["fault"] in {"component", "flow"}
    assert probe_node(flow) in problem["detail"]
    assert said in problem["detail"].lower()


def test_a_component_that_loops_at_import_is_noticed_on_publishing_and_stopped_when_run(
    door: Door, reference: Reference
) -> None:
    flow = probe(reference, source(head="FOREVER = any(False for _ in iter(int, 1))"))
    started = time.monotonic()

    published = door.http.post("/api/v1/flows/", json=flow).json()
    with pytest.raises(Refused) as refused:
        door.run(published["id"], "hello")

    assert probe_node(flow) in [finding["node"] for finding in published["findings"]]
    assert refused.value.problem["code"] == "step_timeout"
    assert time.monotonic() - started < PATIENTLY_S


def test_a_component_that_prints_a_gigabyte_is_cut_short(door: Door, reference: Reference) -> None:
    flow = probe(reference, source(body="for _ in range(1024): print('x' * (1 << 20))"))
    started = time.monotonic()

    answer = door.run(door.publish(flow), "hello")

    journal = door.http.get(f"/api/v1/runs/{answer.run}/events")
    assert len(journal.content) < 8 << 20
    assert time.monotonic() - started < PATIENTLY_S


def test_a_component_that_never_ends_does_not_keep_others_waiting(
    door: Door, echo_id: str, reference: Reference
) -> None:
    endless = door.publish(probe(reference, source(body="while True: pass")))

    with ThreadPoolExecutor() as pool:
        stuck = pool.submit(door.run, endless, "hello")
        answers = [door.run(echo_id, f"message {number}").text for number in range(5)]

        assert answers == [f"message {number}" for number in range(5)]
        assert not stuck.done()
        assert isinstance(stuck.exception(timeout=PATIENTLY_S), Refused)
