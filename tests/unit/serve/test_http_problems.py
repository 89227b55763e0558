"""Errors leave as problem documents."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.errors import StoreUnavailableError
from flowray_serve.problems import document, problem
from flowray_serve.services import BodyLimits
from tests.unit.serve.service import ECHO, KEY, Service, service

MEMBERS = {"type", "title", "status", "detail", "code", "fault", "instance"}


async def test_an_unknown_route_is_a_problem() -> None:
    response = await service().http.get("/api/v1/nope")
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body.keys() == MEMBERS
    assert (body["status"], body["code"], body["fault"]) == (404, "unknown_route", "caller")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/health", "GET"), ("/api/v2/workflows", "GET, POST"), ("/api/v1/admin/tenants/acme", "DELETE, GET, PATCH")],
)
async def test_a_method_a_path_does_not_have_says_which_it_has(path: str, allowed: str) -> None:
    response = await service().http.put(path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("method", "path", "key", "kind"),
    [
        ("GET", "/v1/models", "wrong", "permission_error"),
        ("GET", "/v1/models/missing", KEY, "not_found_error"),
        ("GET", "/v1/nope", KEY, "not_found_error"),
        ("DELETE", "/v1/models", KEY, "invalid_request_error"),
        ("POST", "/v1/chat/completions", KEY, "invalid_request_error"),
    ],
)
async def test_whatever_refuses_a_client_of_openai_s_api_says_so_in_its_words(
    method: str, path: str, key: str, kind: str
) -> None:
    response = await service().http.request(method, path, headers={"x-api-key": key})
    body = response.json()
    assert body.keys() == MEMBERS | {"error"}
    assert body["error"] == {"message": body["detail"], "type": kind, "code": body["code"]}


async def test_a_refusal_says_a_client_of_openai_s_api_when_to_come_again() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    made.steps.script = away
    asked = {"model": flow_id, "messages": [{"role": "user", "content": "hi"}]}
    response = await made.http.post("/v1/chat/completions", json=asked)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["type"] == "server_error"


async def test_a_wrong_query_parameter_is_named() -> None:
    response = await service().http.get("/api/v1/flows/?size=many")
    assert response.status_code == 422
    assert "size" in response.json()["detail"]


async def test_the_store_out_of_reach_is_worth_another_try() -> None:
    response = problem(StoreUnavailableError("Redis does not answer."))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_a_detail_with_a_lone_surrogate_still_leaves() -> None:
    assert problem(StoreUnavailableError("\ud800")).status_code == 503
    assert document(StoreUnavailableError("x"))["title"] == "Service Unavailable"


async def test_what_nobody_expected_names_an_incident_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made = service()
    made.steps.script = raising
    flow_id = await made.publish(ECHO)
    with caplog.at_level(logging.ERROR, logger="flowray.serve"):
        response = await made.http.post(f"/api/v1/run/{flow_id}", json={})
    body = response.json()
    assert (response.status_code, body["code"]) == (500, "internal_error")
    assert "secret of the house" not in response.text
    incident = body["instance"].removeprefix("urn:uuid:")
    (record,) = [one for one in caplog.records if one.__dict__.get("action") == "incident"]
    assert record.__dict__["incident"] == incident
    assert "secret of the house" in str(record.exc_info)


async def away(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    raise StoreUnavailableError("Redis does not answer.")
    yield


async def raising(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    raise ZeroDivisionError("secret of the house")
    yield


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"hello", 400, "malformed_json"),
        (b'{"a": NaN}', 400, "malformed_json"),
        (b'{"input_value": "\\ud800"}', 400, "malformed_json"),
        (b"[" * 2000, 400, "malformed_json"),
        (b"[" * 210 + b"]" * 210, 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'{"input_value": 1}', 422, "invalid_request"),
        (b'{"input_type": "smell"}', 422, "invalid_request"),
        (b'{"tweaks": []}', 422, "invalid_request"),
        (b'{"tweaks": {"Nobody-1": {"x": 1}}}', 422, "tweak_refused"),
        (b'{"tweaks": {"ChatInput-1": {"code": "x"}}}', 422, "tweak_refused"),
        (b'{"context": {"request_variables": {"A": 1}}}', 422, "invalid_request"),
        (b'{"input_value": "a", "tweaks": {"ChatInput-1": {"input_value": "b"}}}', 400, "input_given_twice"),
        (b'{"x": "' + b"x" * 2000 + b'"}', 413, "request_too_large"),
    ],
)
async def test_bad_run_bodies_are_told_what_is_wrong(body: bytes, status: int, code: str) -> None:
    made = service(limits=BodyLimits(run_bytes=2000, flow_bytes=100_000))
    flow_id = await made.publish(ECHO)
    response = await made.http.post(f"/api/v1/run/{flow_id}", content=body)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    await it_still_serves(made, flow_id)


async def it_still_serves(made: Service, flow_id: str) -> None:
    assert (await made.http.post(f"/api/v1/run/{flow_id}", json={"input_value": "hi"})).status_code == 200
