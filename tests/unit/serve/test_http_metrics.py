"""What Prometheus reads, and who may."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.observe.families import COUNTED, LOOKED_UP, USED
from flowray.observe.runs import count
from flowray.observe.tally import Series
from flowray_serve.metrics.exposition import exposed
from tests.unit.serve.service import ECHO, KEY, KEYS_BY_ROLE, OTHER_KEY, Service, service

FLOW = ("default", "Invoices", "f1")


async def read(
    made: Service, key: str = KEYS_BY_ROLE["observer"]
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples by name and labels."""
    await made.services.meter.close()  # hands on all there is
    response = await made.http.get("/metrics", headers={"x-api-key": key})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def labels(**named: str) -> frozenset[tuple[str, str]]:
    return frozenset(named.items())


async def broken(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    node = request.plan.by_id[step.step].nodes[-1]
    yield ev.NodeStarted(node=node)
    yield ev.NodeFailed(node=node, error="no")
    yield ev.StepFailed(step=step.step, kind="component", error="no", node=node)


async def test_the_failure_of_a_node_is_there_with_tenant_flow_and_node() -> None:
    made = service()
    flow = await made.publish(ECHO)
    made.steps.script = broken
    failed = await made.http.post(f"/api/v1/run/{flow}", json={"input_value": "Hello"})
    run = failed.headers["x-flowray-run"]
    count([one async for one in made.journal.read("default", ev.RunId(run))], made.services.meter.tally)

    found = await read(made)

    said = {"tenant": "default", "flow": "Echo", "flow_id": flow}
    assert found["flowray_run_failures_total", labels(**said, node="ChatOutput-1", kind="component")] == 1
    version = (await made.http.get(f"/api/v1/flows/{flow}/versions/")).json()["entries"][0]["version"][:12]
    assert found["flowray_runs_total", labels(**said, version=version, status="failed")] == 1
    route = {"tenant": "default", "route": "/api/v1/run/{flow}"}
    code = failed.json()["code"]
    assert found["flowray_http_requests_total", labels(**route, method="POST", status="500", code=code)] == 1
    assert found["flowray_http_seconds_count", labels(**route)] == 1


@pytest.mark.parametrize(
    ("key", "seen"),
    [
        (KEYS_BY_ROLE["viewer"], {"default"}),
        (KEY, {"default"}),
        (OTHER_KEY, {"other"}),
        (KEYS_BY_ROLE["operator"], {"", "default", "other"}),
        (KEYS_BY_ROLE["observer"], {"", "default", "other"}),
    ],
)
async def test_a_tenant_sees_its_own_numbers_and_an_observer_all(key: str, seen: set[str]) -> None:
    made = service()
    for caller in ("guessed", KEY, OTHER_KEY):
        await made.http.get("/api/v1/flows/", headers={"x-api-key": caller})

    found = await read(made, key)

    assert {dict(said).get("tenant", "") for name, said in found if name == "flowray_http_requests_total"} == seen
    assert (("flowray_runners", labels(pool="default")) in found) == ("" in seen)


async def test_what_was_refused_is_counted_by_the_code_of_its_problem() -> None:
    made = service()
    await made.http.get("/api/v1/flows/", headers={"x-api-key": "guessed"})
    await made.http.get("/api/v1/flows/none")
    await made.http.get("/nowhere/at/all")
    await made.http.request("BREW", "/nowhere")
    await made.http.get("/health", headers={"x-large": "x" * 40_000})
    await made.http.get("/health")

    found = await read(made)

    requests = {tuple(sorted(dict(said).items())) for name, said in found if name == "flowray_http_requests_total"}
    told = {tuple(dict(one)[key] for key in ("tenant", "method", "route", "status", "code")) for one in requests}
    assert told == {
        ("", "GET", "/api/v1/flows/", "403", "unauthorized"),
        ("default", "GET", "/api/v1/flows/{flow}", "404", "not_found"),
        ("", "GET", "", "404", "unknown_route"),
        ("", "other", "", "404", "unknown_route"),
        ("", "GET", "", "431", "head_too_large"),
        ("", "GET", "/health", "200", ""),
    }


async def test_what_goes_on_is_looked_up() -> None:
    found = await read(service())
    assert found["flowray_info", labels(version="0.1.0")] == 1
    assert found["flowray_queue_runs", labels(tenant="default")] == 0
    assert found["flowray_quota_used", labels(tenant="other", resource="runs")] == 0
    assert found["flowray_runners", labels(pool="default")] == 0


async def test_each_resource_of_the_quota_is_described() -> None:
    found = await read(service())
    named = {dict(said)["resource"] for name, said in found if name == USED.name}
    assert named == set(re.findall(r"(\w+)(?: \(\w+\))?(?:,|\.)", USED.help.split(":")[1]))


def test_buckets_add_up_and_strange_names_are_escaped() -> None:
    strange = ("acme", 'a "flow"\nof \\ mine', "f1")
    sums = {
        Series("flowray_run_seconds", strange, "sum"): 3.5,
        Series("flowray_run_seconds", strange, "0.5"): 2.0,
        Series("flowray_run_seconds", strange, "+Inf"): 1.0,
        Series("flowray_of_tomorrow_total", ("acme",)): 1.0,
    }
    (histogram,) = [family for family in text_string_to_metric_families(exposed(sums, []).decode()) if family.samples]
    by_bound = {sample.labels.get("le", sample.name): sample.value for sample in histogram.samples}
    assert (by_bound["0.25"], by_bound["0.5"], by_bound["3600.0"], by_bound["+Inf"]) == (0, 2, 2, 3)
    assert (by_bound["flowray_run_seconds_count"], by_bound["flowray_run_seconds_sum"]) == (3, 3.5)
    assert histogram.samples[0].labels["flow"] == strange[1]


def test_every_family_is_described_also_while_it_has_no_series() -> None:
    described = {family.name for family in text_string_to_metric_families(exposed({}, []).decode())}
    expected: Sequence[str] = [family.name for family in (*COUNTED, *LOOKED_UP)]
    assert described == {name.removesuffix("_total") for name in expected}
