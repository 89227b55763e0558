"""Packages over HTTP: refused where no pool has them, found where one has; and what is imported late is learned."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.door import Door, Refused
from tests.kit.images import images_with
from tests.kit.probes import probe, probe_node, source
from tests.kit.reference import Reference
from tests.kit.service import Service, running_service

_LEARNED_S = 30.0


@pytest.fixture(scope="module")
def equipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Door]]:
    """A service with a second pool, whose image has a Redis client."""
    lock = tmp_path_factory.mktemp("lock") / "redis.txt"
    with images_with(lock, "redis") as images:
        pools = {"default": {"spares": 2}, "stores": {"spares": 2, "image": str(lock)}}
        settings = {"FLOWRAY_POOLS": json.dumps(pools), "FLOWRAY_IMAGES": str(images)}
        with (
            running_service(settings=settings) as service,
            service.client(timeout_s=120) as http,
        ):
            yield service, Door(http)


def saying(reference: Reference, *, head: str = "", body: str = "") -> dict[str, Any]:
    return probe(reference, source(head=head, body=body))


def test_a_flow_whose_package_no_pool_has_is_refused(equipped: tuple[Service, Door], reference: Reference) -> None:
    _, door = equipped
    flow = saying(reference, head="import sklearn.svm")

    with pytest.raises(Refused) as refused:
        door.publish(flow)

    problem = refused.value.problem
    assert (problem["status"], problem["code"]) == (422, "missing_package")
    for said in (probe_node(flow), "sklearn.svm", "scikit-learn==VERSION", "FLOWRAY_POOLS"):
        assert said in problem["detail"]


def test_a_node_runs_in_the_pool_that_has_its_package(equipped: tuple[Service, Door], reference: Reference) -> None:
    _, door = equipped
    flow = saying(reference, head="import redis", body="self.input_value = redis.Redis.__name__")

    answer = door.run(door.publish(flow), "hello")

    run = door.http.get("/api/v1/runs").json()["runs"][0]["id"]
    nodes = door.http.get(f"/api/v1/runs/{run}").json()["nodes"]
    runners = {node["node"].partition("-")[0]: node["runner"] for node in nodes}
    assert "Redis" in answer.text
    assert runners["CustomComponent"] != runners["ChatInput"]


def test_a_package_that_is_there_and_not_declared_cannot_be_imported(
    equipped: tuple[Service, Door], reference: Reference
) -> None:
    _, door = equipped
    body = "__import__('importlib').import_module('re' + 'dis')"
    flow = saying(reference, body=body)
    for node in flow["data"]["nodes"]:
        node["data"]["node"]["metadata"] = {"flowray": {"pool": "stores"}}

    with pytest.raises(Refused) as refused:
        door.run(door.publish(flow), "hello")

    assert "redis" in refused.value.problem["detail"]
    assert refused.value.problem["error_type"] == "ModuleNotFoundError"


def test_what_runs_import_late_is_learned_and_told_with_the_setting(
    equipped: tuple[Service, Door], reference: Reference
) -> None:
    service, door = equipped
    flow_id = door.publish(saying(reference, body="import wave, xmlrpc.client"))
    for _ in range(2):
        door.run(flow_id, "hello")

    told = learned(service, "wave")

    pool = told["pools"][0]
    assert pool["modules"]["wave"] == pool["modules"]["xmlrpc.client"] == 2
    setting = json.loads(told["setting"].removeprefix("FLOWRAY_POOLS="))
    assert {"wave", "xmlrpc.client"} <= set(setting["default"]["preload"])
    assert setting["stores"]["image"].endswith("redis.txt")


def learned(service: Service, module: str) -> dict[str, Any]:
    """What `flowray runner preload` says, once it knows of this module: Runners pass on every few seconds."""
    deadline = time.monotonic() + _LEARNED_S
    while True:
        done = service.flowray("runner", "preload", "--json")
        told: dict[str, Any] = json.loads(done.stdout)
        if module in told["pools"][0]["modules"] or time.monotonic() > deadline:
            return told
        time.sleep(0.5)
