"""Two tenants do whatever comes to mind, with the same names and each other's ids: neither sees a byte of the other.

Afterwards Redis and the object store are searched: what one tenant has said lies below its name, and nowhere else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.kit.door import Door
from tests.kit.redis_content import content_by_key
from tests.kit.service import Service

ECHO = "name: Echo\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n"
NAMES = st.sampled_from(["shared", "report", "chat"])
WHO = st.sampled_from([0, 1])
FOLLOWING = re.compile(r"(events|stream|logs|sse|streamable|mcp|auto_login)")


@dataclass
class Tenant:
    """A tenant of the test: what it says has its mark in it."""

    id: str
    http: httpx.Client
    mark: str = field(default_factory=lambda: f"mark{secrets.token_hex(8)}")


@pytest.fixture(scope="module")
def echo(door: Door) -> dict[str, Any]:
    return door.expand(ECHO)


@pytest.fixture(scope="module")
def readable(service: Service) -> list[str]:
    """Every path that a tenant can read from, without what is followed for ever."""
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    return [
        path
        for path, found in paths.items()
        if "get" in found and "/admin/" not in path and FOLLOWING.search(path) is None
    ]


class TwoTenants(RuleBasedStateMachine):
    """What tenants do. Ids that one of them learns are tried by both."""

    service: ClassVar[Service]
    echo: ClassVar[Mapping[str, Any]]
    readable: ClassVar[list[str]]
    met: ClassVar[list[Tenant]]

    ids = Bundle("ids")

    @initialize(target=ids)
    def two_tenants(self) -> str:
        self.tenants = [made_tenant(self.service) for _ in range(2)]
        self.met.extend(self.tenants)
        return "shared"

    def ask(self, who: int, method: str, path: str, **sent: Any) -> httpx.Response:
        response = self.tenants[who].http.request(method, path, **sent)
        theirs = self.tenants[1 - who].mark
        assert theirs not in response.text, (method, path)
        assert theirs not in str(response.headers), (method, path)
        assert response.status_code < 500, (method, path, response.text)
        return response

    @rule(target=ids, who=WHO, name=NAMES)
    def publish(self, who: int, name: str) -> str:
        mark = self.tenants[who].mark
        body = {"name": f"{name} {mark}", "endpoint_name": name, "description": mark, "data": self.echo["data"]}
        made = self.ask(who, "POST", "/api/v1/flows/", json=body)
        return str(made.json().get("id", name))

    @rule(target=ids, who=WHO, flow=ids, session=NAMES)
    def run(self, who: int, flow: str, session: str) -> str:
        body = {"input_value": f"hello {self.tenants[who].mark}", "session_id": session}
        answer = self.ask(who, "POST", f"/api/v1/run/{flow}", json=body)
        return str(answer.headers.get("x-flowray-run", flow))

    @rule(target=ids, who=WHO, name=NAMES)
    def keep_a_variable(self, who: int, name: str) -> str:
        body = {"name": name, "value": self.tenants[who].mark, "type": "Generic"}
        return str(self.ask(who, "POST", "/api/v1/variables/", json=body).json().get("id", name))

    @rule(target=ids, who=WHO)
    def make_a_key(self, who: int) -> str:
        return str(self.ask(who, "POST", "/api/v1/api_key/", json={"name": self.tenants[who].mark}).json()["id"])

    @rule(who=WHO, flow=ids)
    def upload(self, who: int, flow: str) -> None:
        files = {"file": ("shared.txt", self.tenants[who].mark.encode())}
        self.ask(who, "POST", f"/api/v1/files/upload/{flow}", files=files)

    @rule(who=WHO, thing=ids, kind=st.sampled_from(["flows", "variables"]))
    def change(self, who: int, thing: str, kind: str) -> None:
        self.ask(who, "PATCH", f"/api/v1/{kind}/{thing}", json={"description": self.tenants[who].mark})

    @rule(who=WHO, thing=ids, kind=st.sampled_from(["flows", "variables", "api_key"]))
    def remove(self, who: int, thing: str, kind: str) -> None:
        keys = [one["id"] for one in self.tenants[who].http.get("/api/v1/api_key/").json()["api_keys"]]
        if thing != keys[0]:  # not the one that it comes in with
            self.ask(who, "DELETE", f"/api/v1/{kind}/{thing}")

    @rule(who=WHO, thing=ids)
    def follow(self, who: int, thing: str) -> None:
        with self.tenants[who].http.stream("GET", f"/api/v1/runs/{thing}/events") as response:
            assert self.tenants[1 - who].mark not in response.read().decode()

    @rule(who=WHO, thing=ids)
    def look_everywhere(self, who: int, thing: str) -> None:
        for path in self.readable:
            asked = {"flow_id": thing, "session_id": "shared"}
            self.ask(who, "GET", re.sub(r"\{[^}]*\}", thing, path), params=asked)


def made_tenant(service: Service) -> Tenant:
    with service.client() as operator:
        name = f"t{secrets.token_hex(6)}"
        operator.post("/api/v1/admin/tenants", json={"id": name}).raise_for_status()
        key = operator.post(f"/api/v1/admin/tenants/{name}/keys", json={}).raise_for_status().json()["api_key"]
    return Tenant(name, service.client(key))


def test_neither_of_two_tenants_sees_a_byte_of_the_other(
    service: Service, echo: Mapping[str, Any], readable: list[str]
) -> None:
    TwoTenants.service, TwoTenants.echo, TwoTenants.readable, TwoTenants.met = service, echo, readable, []

    run_state_machine_as_test(
        TwoTenants,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            # Shrinking asks a live service hundreds of times more, and what it has kept makes every time another.
            phases=(Phase.generate,),
            database=None,
        ),
    )

    for tenant in TwoTenants.met:
        tenant.http.close()
    kept = dict(everything_kept(service))
    for tenant in TwoTenants.met:
        tenant.http.close()
        strays = [
            where for where, content in kept.items() if tenant.mark.encode() in content and tenant.id not in where
        ]
        assert strays == []
    assert any(tenant.mark.encode() in content for tenant in TwoTenants.met for content in kept.values())


def everything_kept(service: Service) -> Iterator[tuple[str, bytes]]:
    """Whatever Redis and the object store hold, by where it is."""
    home = Path(service.environment["FLOWRAY_HOME"])
    for file in (home / "objects").rglob("*"):
        if file.is_file():
            yield str(file.relative_to(home)), file.read_bytes()
    yield from content_by_key(service.redis_url)


def test_a_tenants_logs_say_whose_they_are_and_no_secret(service: Service) -> None:
    tenant = made_tenant(service)
    key = tenant.http.headers["x-api-key"]
    tenant.http.post("/api/v1/variables/", json={"name": "TOKEN", "value": tenant.mark}).raise_for_status()
    tenant.http.close()
    for text in (file.read_bytes() for file in service.logs):
        assert tenant.mark.encode() not in text
        assert key.encode() not in text
    assert service.key.encode() not in b"".join(file.read_bytes() for file in service.logs)
