"""What a tenant may keep and use up, on a running service."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.kit.door import Door, Refused
from tests.kit.service import Service
from tests.kit.web import Web

_WITHIN_S = 60
_TENANTS = "/api/v1/admin/tenants"


class Tenant:
    """A tenant of the test's own, and what its operator settles for it."""

    def __init__(self, operator: httpx.Client, door: Door, name: str) -> None:
        self.door = door
        self._operator = operator
        self.name = name

    def settle(self, **settings: Any) -> None:
        self._operator.patch(f"{_TENANTS}/{self.name}", json={"settings": settings}).raise_for_status()


@pytest.fixture
def tenant(service: Service) -> Iterator[Tenant]:
    name = f"t{secrets.token_hex(6)}"
    with service.client() as operator:
        operator.post(_TENANTS, json={"id": name}).raise_for_status()
        made = operator.post(f"{_TENANTS}/{name}/keys", json={"roles": ["editor"]}).raise_for_status().json()
        with service.client(made["api_key"]) as http:
            yield Tenant(operator, Door(http), name)


def refusal(ask: Callable[[], object]) -> tuple[int, str] | None:
    """The status and code with which something is refused; None when it is done."""
    try:
        ask()
    except Refused as refused:
        return refused.status, str(refused.problem["code"])
    return None


def until(ask: Callable[[], object], wanted: tuple[int, str] | None) -> None:
    """A change has to hold before long; what a loaded machine takes for it is no verdict."""
    patience_ends = time.monotonic() + _WITHIN_S
    while (found := refusal(ask)) != wanted:
        assert time.monotonic() < patience_ends, found


def test_flows_and_files_beyond_a_quota_are_refused_until_it_is_raised(tenant: Tenant, report: dict[str, Any]) -> None:
    tenant.settle(quotas={"flows": 1, "stored_mib": 1})
    flow = tenant.door.publish(report)
    kept, more = b"x" * 700_000, b"y" * 700_000

    assert refusal(lambda: tenant.door.upload(flow, "kept.bin", kept)) is None
    assert refusal(lambda: tenant.door.publish(report)) == (429, "quota_exceeded")
    assert refusal(lambda: tenant.door.upload(flow, "more.bin", more)) == (429, "quota_exceeded")

    tenant.settle(quotas={"flows": 2, "stored_mib": 2})
    until(lambda: tenant.door.publish(report), None)
    until(lambda: tenant.door.upload(flow, "more.bin", more), None)


def test_a_budget_that_is_nearly_spent_is_told_once_and_stops_nothing(
    tenant: Tenant, service: Service, web: Web, report: dict[str, Any]
) -> None:
    flow = tenant.door.publish(report)
    tenant.settle(budgets={"day": {"cpu_s": 1_000}, "warn_at": 1e-6, "webhook": f"{web.url}/told"})

    def told() -> list[Any]:
        return [(said, headers) for said, headers in web.told if said["data"]["tenant"] == tenant.name]

    patience_ends = time.monotonic() + _WITHIN_S
    while not told():
        assert tenant.door.run(flow).text
        assert time.monotonic() < patience_ends
    assert tenant.door.run(flow).text

    ((said, headers),) = told()
    assert (said["type"], said["data"]["measure"], said["data"]["most"]) == ("budget.warning", "cpu_s", 1_000)
    assert headers["webhook-signature"].startswith("v1,")
    gateways = [file.read_text() for file in service.logs if file.name.startswith("gateway-")]
    written = [json.loads(line) for text in gateways for line in text.splitlines()]
    (warning,) = [one for one in written if one.get("action") == "budget_warning" and one["tenant"] == tenant.name]
    assert (warning["severity"], warning["measure"]) == ("WARNING", "cpu_s")


def test_a_budget_that_is_spent_stops_runs_and_a_higher_one_lets_them_go_on(
    tenant: Tenant, report: dict[str, Any]
) -> None:
    flow = tenant.door.publish(report)
    tenant.settle(budgets={"day": {"cpu_s": 0.001}})
    assert tenant.door.run(flow).text

    until(lambda: tenant.door.run(flow), (429, "budget_spent"))
    used = tenant.door.http.get("/api/v1/quota").json()["budgets"]["day"]["used"]
    assert used["cpu_s"] >= 0.001

    tenant.settle(budgets={"day": {"cpu_s": 1_000}})
    until(lambda: tenant.door.run(flow), None)
