"""Every route of the description refuses who has no key, who has too small a role, and whose things they are not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter
from starlette.websockets import WebSocketDisconnect

from flowray.tenancy.permissions import LADDER, Permission, allows, exceeds, smallest_role
from flowray.tenancy.principal import Role
from flowray_serve.auth import UndeclaredRouteError, guarded, needs, open_to_all
from flowray_serve.routes.application import build_app
from tests.unit.serve.service import ECHO, KEY, KEYS_BY_ROLE, OTHER_KEY, Service, service

OPEN = {"/health", "/health_check", "/api/v1/version", "/api/v1/config"} | {
    f"/api/v1/{name}" for name in ("login", "auto_login", "logout", "session")
}
NOBODYS = "6f1d9c1e-0000-4000-8000-00000000dead"
ADDRESSES = (str(address) for address in ip_network("10.0.0.0/8").hosts())
METHODS_THAT_ASK = ("get", "delete")
# To forget what is not there is no mistake, here as in Langflow.
THERE_OR_NOT = {"/api/v1/monitor/messages/session/{session}"}


OPERATIONS: Sequence[tuple[str, str, dict[str, Any]]] = [
    (method, path, operation)
    for path, found in build_app(service().services).openapi()["paths"].items()
    for method, operation in found.items()
]
GUARDED = [
    (method, path, Permission(operation["x-flowray-permission"]))
    for method, path, operation in OPERATIONS
    if "x-flowray-permission" in operation
]
OF_A_THING = [one for one in GUARDED if "{" in one[1] and smallest_role(one[2]) != "operator"]
WITH_A_ROLE_TOO_SMALL = [one for one in GUARDED if smallest_role(one[2]) != "viewer"]


@pytest.fixture(scope="module")
def made() -> Service:
    """One service for all: nothing here changes anything but by a caller who may."""
    return service()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ids(made: Service) -> dict[str, str]:
    """Things of the tenant `default`, by what paths call them."""
    flow = await made.publish(ECHO)
    run = await made.http.post(f"/api/v1/run/{flow}", json={"input_value": "a secret of default"})
    return {"flow": flow, "run": run.headers["x-flowray-run"], "tenant": "default"}


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: ids.get(found[1], NOBODYS), path)


async def asked(made: Service, method: str, path: str, key: str) -> httpx.Response:
    # From an address of its own each time: who tries many wrong keys from one is not looked at any more.
    transport = httpx.ASGITransport(app=made.app, raise_app_exceptions=False, client=(next(ADDRESSES), 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://flowray.test") as http:
        return await http.request(method, path, headers={"x-api-key": key}, content=b"{}")


def test_what_is_open_to_all_is_listed_here() -> None:
    said = {path for _, path, operation in OPERATIONS if operation.get("security") == []}
    assert said == OPEN
    assert {path for _, path, _ in OPERATIONS} == OPEN | {path for _, path, _ in GUARDED}


@pytest.mark.parametrize(("method", "path", "permission"), GUARDED)
@pytest.mark.parametrize("key", ["", "fr-guessed"])
async def test_without_a_key_that_is_known_it_refuses(
    made: Service, method: str, path: str, permission: Permission, key: str
) -> None:
    response = await asked(made, method, filled(path, {}), key)
    assert (response.status_code, response.json()["code"]) == (403, "unauthorized")


@pytest.mark.parametrize(("method", "path", "permission"), WITH_A_ROLE_TOO_SMALL)
async def test_with_a_role_too_small_it_refuses(made: Service, method: str, path: str, permission: Permission) -> None:
    largest_too_small = LADDER[LADDER.index(smallest_role(permission)) - 1]
    response = await asked(made, method, filled(path, {}), KEYS_BY_ROLE[largest_too_small])
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert smallest_role(permission) in response.json()["detail"]


@pytest.mark.parametrize("way", ["v1", "v2", "v2 stream", "v2 background"])
@pytest.mark.parametrize(("role", "may"), [("runner", False), ("editor", True)])
async def test_a_canvas_of_ones_own_is_run_for_who_may_change_flows_alone(
    made: Service, ids: dict[str, str], way: str, role: Role, *, may: bool
) -> None:
    flow, data = ids["flow"], ECHO["data"]
    path, body = f"/api/v1/build/{flow}/flow", {"data": data}
    if way != "v1":
        path, body = "/api/v2/workflows", {"data": data, "flow_id": flow, "mode": way.partition(" ")[2] or "sync"}
    headers = {"x-api-key": KEYS_BY_ROLE[role]}
    before = len(made.steps.requests)

    sent = await made.http.post(path, json=body, headers=headers)
    ran = len(made.steps.requests) - before
    saved = await made.http.post(path, json={**body, "data": None}, headers=headers)

    assert saved.status_code < 300, saved.text
    assert (sent.status_code < 300) is may, sent.text
    if not may:
        assert (sent.status_code, sent.json()["code"]) == (403, "forbidden")
        assert "`flows.write` takes the role editor" in sent.json()["detail"]
        assert ran == 0


@pytest.mark.parametrize(("method", "path", "permission"), OF_A_THING)
async def test_with_another_tenants_key_a_thing_is_not_there(
    made: Service, ids: dict[str, str], method: str, path: str, permission: Permission
) -> None:
    response = await asked(made, method, filled(path, ids), OTHER_KEY)
    if method in METHODS_THAT_ASK and path not in THERE_OR_NOT:
        assert response.status_code == 404
    assert response.status_code in (404, 422) or path in THERE_OR_NOT  # a body that does not fit may show first
    assert "a secret of default" not in response.text


@pytest.mark.parametrize(("method", "path", "permission"), GUARDED)
async def test_with_the_role_it_takes_nobody_is_refused(
    made: Service, method: str, path: str, permission: Permission
) -> None:
    response = await asked(made, method, filled(path, {}), KEYS_BY_ROLE[smallest_role(permission)])
    assert response.status_code not in (401, 403)


def test_a_route_that_says_not_who_may_use_it_stops_the_start() -> None:
    async def endpoint() -> None: ...

    router = APIRouter()
    router.add_api_route("/new", endpoint, methods=["GET"])
    with pytest.raises(UndeclaredRouteError, match="/new"):
        guarded(router.routes[0], service().services.gate)


async def test_a_socket_is_refused_before_it_opens() -> None:
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocket

    @needs(Permission.RUNS_START)
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("in")
        await socket.close()

    route = guarded(WebSocketRoute("/socket", endpoint), service().services.gate)
    client = TestClient(Starlette(routes=[route]))

    with client.websocket_connect("/socket", headers={"x-api-key": KEY}) as socket:
        assert socket.receive_text() == "in"
    for key in ("", KEYS_BY_ROLE["viewer"]):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket", headers={"x-api-key": key}):
            pass


def test_what_is_open_needs_no_guard() -> None:
    @open_to_all
    async def endpoint() -> None: ...

    router = APIRouter()
    router.add_api_route("/open", endpoint, methods=["GET"])
    before = router.routes[0].app  # type: ignore[attr-defined]
    assert guarded(router.routes[0], service().services.gate).app is before  # type: ignore[attr-defined]


@pytest.mark.parametrize("permission", list(Permission))
def test_each_permission_belongs_to_one_role_and_all_above_it(permission: Permission) -> None:
    may = [role for role in LADDER if allows([role], permission)]
    assert may == list(LADDER[LADDER.index(smallest_role(permission)) :])


def test_an_observer_may_read_metrics_and_nothing_else() -> None:
    assert {one for one in Permission if allows(["observer"], one)} == {
        Permission.METRICS_READ,
        Permission.METRICS_OF_ALL,
    }


@pytest.mark.parametrize(
    ("given", "own", "too_much"),
    [
        ("viewer", "admin", False),
        ("admin", "admin", False),
        ("operator", "admin", True),
        ("editor", "runner", True),
        ("observer", "admin", True),
        ("observer", "operator", False),
    ],
)
def test_nobody_gives_more_than_they_have(given: Role, own: Role, *, too_much: bool) -> None:
    assert exceeds([given], [own]) is too_much
