"""Pages of other origins: what they may ask and read, and that those who are no pages notice nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.quotas.buckets import MemoryBuckets
from flowray.quotas.rate import Rate, rate_of
from flowray_serve.admission.rates import RateLimiter
from flowray_serve.bounds import HeadLimits
from flowray_serve.cors import EXPOSED
from flowray_serve.routes.application import build_app, build_operator_app
from flowray_serve.services import BodyLimits, Services
from tests.unit.serve.service import ECHO, KEY, KEYS_BY_ROLE, Service, service

PAGE, ELSEWHERE = "https://chat.test", "https://elsewhere.test"
HEAD_BYTES = 2_000


@pytest.fixture(scope="module")
def made() -> Service:
    return service(limits=BodyLimits(run_bytes=1_000))


@pytest.fixture(scope="module")
def app(made: Service) -> FastAPI:
    """The application that answers pages of one origin; its head is small, and so are its bodies."""
    return app_for(replace(made.services, head_limits=HeadLimits(head_bytes=HEAD_BYTES)), PAGE)


def app_for(services: Services, *origins: str) -> FastAPI:
    return build_app(services, origins=origins)


def browser(app: FastAPI, origin: str = PAGE) -> httpx.AsyncClient:
    """What a page of that origin asks with; the key is up to the page."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://flowray.test", headers={"origin": origin})


def asking(method: str = "POST", *headers: str) -> dict[str, str]:
    """What a browser asks before it lets a page ask."""
    named = {"access-control-request-headers": ",".join(headers)} if headers else {}
    return {"access-control-request-method": method, **named}


def said_to_pages(answer: httpx.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


async def test_no_page_is_answered_unless_it_was_named(made: Service) -> None:
    app = app_for(made.services)
    async with browser(app) as http:
        asked = await http.options("/api/v1/runs", headers=asking("GET"))
        answer = await http.get("/api/v1/runs", headers={"x-api-key": KEY})

    assert (asked.status_code, answer.status_code) == (405, 200)
    assert said_to_pages(asked) | said_to_pages(answer) == set()
    assert not any(one.cls is CORSMiddleware for one in app.user_middleware)  # type: ignore[comparison-overlap]


async def test_a_page_that_was_named_runs_a_flow_and_reads_which_run_it_was(made: Service, app: FastAPI) -> None:
    flow = await made.publish(ECHO)
    async with browser(app) as http:
        asked = await http.options(f"/api/v1/run/{flow}", headers=asking("POST", "content-type", "x-api-key"))
        answer = await http.post(f"/api/v1/run/{flow}", json={}, headers={"x-api-key": KEY})

    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE)
    assert asked.headers["access-control-allow-headers"] == "content-type,x-api-key"
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert answer.headers["vary"] == "Origin"
    assert "x-flowray-run" in answer.headers
    assert answer.headers["access-control-expose-headers"] == ", ".join(EXPOSED)


async def test_a_page_reads_a_stream(made: Service, app: FastAPI) -> None:
    flow = await made.publish(ECHO)
    async with browser(app) as http:
        answer = await http.post(f"/api/v1/run/{flow}?stream=true", json={}, headers={"x-api-key": KEY})

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_page_may_bring_any_header_with_any_method_that_there_is(app: FastAPI, method: str) -> None:
    headers = ("authorization", "last-event-id", "idempotency-key", "x-langflow-global-var-city", "x-stainless-os")
    async with browser(app) as http:
        asked = await http.options("/api/v1/flows/some", headers=asking(method, *headers))

    assert asked.status_code == 200
    assert method in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == ",".join(headers)


async def test_other_pages_are_refused_what_they_ask_first_and_cannot_read_the_rest(app: FastAPI) -> None:
    async with browser(app, ELSEWHERE) as http:
        asked = await http.options("/api/v1/runs", headers=asking("GET", "x-api-key"))
        answer = await http.get(f"/api/v1/runs?x-api-key={KEY}")

    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_an_origin_that_begins_like_one_that_was_named_is_another(app: FastAPI) -> None:
    for origin in (f"{PAGE}.elsewhere.test", f"{PAGE}:8443", PAGE.replace("https", "http"), "null"):
        async with browser(app, origin) as http:
            answer = await http.get("/health")
        assert "access-control-allow-origin" not in answer.headers


async def test_asking_first_counts_for_nobody_and_reaches_no_route(made: Service) -> None:
    async def rates_of(_: str) -> dict[str, Rate]:
        return {"run": rate_of("1/h")}

    limiter = RateLimiter(MemoryBuckets(clock=lambda: 0.0), rates_of)
    flow = await made.publish(ECHO)
    async with browser(app_for(replace(made.services, limiter=limiter), PAGE)) as http:
        for _ in range(3):
            await http.options(f"/api/v1/run/{flow}", headers={**asking(), "x-api-key": KEY})
        first, second = [await http.post(f"/api/v1/run/{flow}", json={}, headers={"x-api-key": KEY}) for _ in range(2)]

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.headers["access-control-allow-origin"] == PAGE
    assert {"retry-after", "ratelimit", "ratelimit-policy"} <= set(second.headers) & set(EXPOSED)


@pytest.mark.parametrize(
    ("status", "method", "path", "sent"),
    [
        (403, "GET", "/api/v1/runs", {}),
        (403, "POST", "/api/v1/flows/", {"headers": {"x-api-key": KEYS_BY_ROLE["viewer"]}}),
        (404, "GET", "/api/v1/nope", {}),
        (405, "PUT", "/health", {}),
        (413, "POST", "/api/v1/run/some", {"content": b"x" * 2_000}),
        (415, "POST", "/api/v1/run/some", {"headers": {"content-encoding": "gzip", "x-api-key": KEY}}),
        (422, "GET", "/api/v1/flows/?size=many", {}),
        (431, "GET", "/health", {"headers": {"x-big": "x" * HEAD_BYTES}}),
    ],
)
async def test_a_page_reads_why_it_was_refused(
    app: FastAPI, status: int, method: str, path: str, sent: dict[str, object]
) -> None:
    keyed = {"x-api-key": KEY} if status in (413, 422) else {}
    async with browser(app) as http:
        answer = await http.request(method, path, **{"headers": keyed, **sent})  # type: ignore[arg-type]

    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["access-control-allow-origin"] == PAGE


async def test_a_page_reads_what_nobody_expected() -> None:
    made = service()
    made.steps.script = raising
    flow = await made.publish(ECHO)
    async with browser(app_for(made.services, PAGE)) as http:
        answer = await http.post(f"/api/v1/run/{flow}", json={}, headers={"x-api-key": KEY})

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["access-control-allow-origin"] == PAGE


async def raising(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    raise ZeroDivisionError("nobody expected this")
    yield


@pytest.mark.parametrize("origin", ["*", PAGE])
async def test_nobody_is_known_by_a_cookie_and_so_credentials_are_never_allowed(made: Service, origin: str) -> None:
    async with browser(app_for(made.services, origin)) as http:
        asked = await http.options("/api/v1/runs", headers=asking("GET", "x-api-key"))
        answer = await http.get("/api/v1/runs", headers={"cookie": f"access_token_lf={KEY}; x-api-key={KEY}"})

    assert answer.status_code == 403
    assert {one.headers["access-control-allow-origin"] for one in (asked, answer)} == {origin}
    assert "access-control-allow-credentials" not in said_to_pages(asked) | said_to_pages(answer)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("origin", "status"), [(PAGE, 200), ("*", 400)])
async def test_pages_that_were_named_may_call_into_a_private_network(made: Service, origin: str, status: int) -> None:
    async with browser(app_for(made.services, origin)) as http:
        asked = await http.options(
            "/health", headers=asking("GET") | {"access-control-request-private-network": "true"}
        )

    assert asked.status_code == status


async def test_who_is_no_page_is_answered_as_before(made: Service, app: FastAPI) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://flowray.test") as http:
        answer = await http.get("/api/v1/runs", headers={"x-api-key": KEY})
        asked = await http.options("/api/v1/runs")

    assert (answer.status_code, asked.status_code) == (200, 405)
    assert said_to_pages(answer) | said_to_pages(asked) == set()


async def test_a_port_of_the_operators_own_is_for_no_page(made: Service) -> None:
    async with browser(build_operator_app(made.services)) as http:
        asked = await http.options("/api/v1/admin/tenants", headers=asking("GET"))

    assert asked.status_code == 405


async def test_a_websocket_asks_for_the_key_and_not_for_the_page(made: Service, app: FastAPI) -> None:
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    flow = await made.publish(ECHO)
    run = (await made.http.post(f"/api/v1/run/{flow}", json={})).headers["x-flowray-run"]
    client = TestClient(app, headers={"origin": ELSEWHERE})

    with client.websocket_connect(f"/api/v1/runs/{run}/ws?x-api-key={KEY}") as socket:
        assert socket.receive_json()["kind"] == "run_accepted"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"/api/v1/runs/{run}/ws"):
        pass
