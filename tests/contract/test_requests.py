"""Accepted runs in the object store: whole, sealed, and found again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from flowray.component.spec import Needs
from flowray.engine.accepted import Accepted
from flowray.engine.events import RunId
from flowray.engine.ports import RunRequest
from flowray.engine.values import Ref
from flowray.errors import StoreUnavailableError
from flowray.flow.langflow import read
from flowray.flow.tweaks import tweak
from flowray.flow.types import Flow, NodeId
from flowray.plan.planner import plan
from flowray.stores.objects import ObjectStore
from flowray.stores.requests import Requests
from flowray.stores.sealing import SealBrokenError, SecretSeal
from tests.unit.build import dag_of, document, field, node

ACME, RUN = "acme", RunId("run-1")
SECRET, TWEAK = "sk-very-secret", "tweaked-secret"


class Undeleting(ObjectStore):
    """Away when something is to be deleted."""

    async def delete(self, key: str) -> None:
        raise StoreUnavailableError(key)


def accepted(flow: Flow | None = None, **facts: Any) -> Accepted:
    flow = flow or dag_of(a="", b="a", c="a b")
    request = RunRequest(
        run=RUN, tenant=ACME, flow=flow, flow_id="flow-1", plan=plan(flow, fusion="none"), session="s", **facts
    )
    return Accepted(request=request, at=12.5, facts={"mode": "background", "callback": {"url": "https://x.example"}})


def requests(objects: ObjectStore, secret: bytes = b"one") -> Requests:
    return Requests(objects, SecretSeal(secret))


async def test_a_run_comes_back_as_it_was_accepted(objects: ObjectStore) -> None:
    kept = accepted(
        input_value="hi",
        variables={"KEY": SECRET},
        files={"flow-1/a.txt": Ref(key="tenants/acme/files/x", size=3, sha256="0")},
        egress=("api.example.org:443",),
        context={"deep": [1, {"x": None}]},
        only_nodes=frozenset({NodeId("a"), NodeId("b")}),
        stream=True,
    )
    step = kept.request.plan.steps[0]
    needs = replace(step, resources=Needs(cpu=1.5, memory_mib=512, pool="gpu"))
    plan_kept = replace(kept.request.plan, steps=(needs, *kept.request.plan.steps[1:]))
    kept = replace(kept, request=replace(kept.request, plan=plan_kept))
    await requests(objects).keep(kept)
    assert await requests(objects).find(ACME, RUN) == kept


async def test_a_flow_with_tweaks_comes_back_with_them(objects: ObjectStore) -> None:
    flow = tweak(read(document(node("a"), node("b"), wires=("a.out > b.in",))), {"a": {"in": TWEAK}})
    await requests(objects).keep(accepted(flow))
    found = await requests(objects).find(ACME, RUN)
    assert found is not None
    assert [one.raw for one in found.request.flow.nodes] == [one.raw for one in flow.nodes]
    assert found.request.flow == flow


async def test_a_flow_that_is_deeper_than_documents_may_be_comes_back(objects: ObjectStore) -> None:
    deep = json.loads("[" * 230 + "]" * 230)
    flow = read(document(node("a", fields=(field("x", value=deep),))), max_depth=250)
    await requests(objects).keep(accepted(flow))
    found = await requests(objects).find(ACME, RUN)
    assert found is not None
    assert found.request.flow == flow


async def test_nothing_secret_is_readable_where_it_is_kept(objects: ObjectStore) -> None:
    flow = tweak(read(document(node("a"), node("b"))), {"a": {"in": TWEAK}})
    await requests(objects).keep(accepted(flow, variables={"KEY": SECRET}, input_value="a private question"))
    for one in [one async for one in objects.list("tenants")]:
        content = await objects.get(one.key)
        for text in (SECRET, TWEAK, "private"):
            assert text.encode() not in content


async def test_another_services_secret_opens_nothing(objects: ObjectStore) -> None:
    await requests(objects).keep(accepted())
    with pytest.raises(SealBrokenError):
        await requests(objects, b"two").find(ACME, RUN)


async def test_what_is_moved_to_another_tenant_does_not_open(objects: ObjectStore) -> None:
    await requests(objects).keep(accepted())
    await objects.put("tenants/other/accepted/run-1", await objects.get("tenants/acme/accepted/run-1"))
    with pytest.raises(SealBrokenError):
        await requests(objects).find("other", RUN)


async def test_runs_that_are_not_over_are_found_again(objects: ObjectStore) -> None:
    store = requests(objects)
    await store.keep(accepted())
    await store.keep(replace(accepted(), request=replace(accepted().request, tenant="other", run=RunId("run-2"))))
    assert {(tenant, run) async for tenant, run, _ in store.open()} == {(ACME, RUN), ("other", "run-2")}
    assert not await store.is_closed(ACME, RUN)
    await store.close(ACME, RUN)
    await store.close(ACME, RUN)
    await store.drop("other", RunId("run-2"))
    assert [one async for one in store.open()] == []
    assert [await store.has(ACME, RUN), await store.is_closed(ACME, RUN)] == [True, True]
    assert not await store.has("other", RunId("run-2"))
    assert (await store.find(ACME, RUN)) == accepted()
    assert await store.find("other", RunId("run-2")) is None
    assert await store.find(ACME, RunId("../x")) is None


async def test_a_run_whose_closing_was_cut_short_is_closed_by_the_next_one(objects: ObjectStore) -> None:
    await requests(objects).keep(accepted())
    with pytest.raises(StoreUnavailableError):
        await requests(Undeleting(objects._store, name="away")).close(ACME, RUN)
    assert (await requests(objects).find(ACME, RUN)) == accepted()

    await requests(objects).close(ACME, RUN)

    assert [one async for one in requests(objects).open()] == []
    assert (await requests(objects).find(ACME, RUN)) == accepted()


async def test_runs_of_one_flow_share_a_drawing_and_its_identity(objects: ObjectStore) -> None:
    flow = dag_of(a="", b="a")
    first = accepted(flow)
    second = replace(first, request=replace(first.request, run=RunId("run-2")))
    await requests(objects).keep(first)
    await requests(objects).keep(second)
    assert len([one async for one in objects.list("tenants/acme/drawings")]) == 1
    reading = requests(objects)
    one, two = await reading.find(ACME, RUN), await reading.find(ACME, RunId("run-2"))
    assert one is not None
    assert two is not None
    assert one.request.flow is two.request.flow
    assert one.request.plan is two.request.plan


async def test_what_a_later_version_added_is_passed_over(objects: ObjectStore) -> None:
    seal = SecretSeal(b"one")
    await Requests(objects, seal).keep(accepted())
    key = "tenants/acme/accepted/run-1"
    plain = json.loads(seal.open(await objects.get(key), place="acme/run-1"))
    plain["request"]["from_the_future"] = {"x": 1}
    await objects.put(key, seal.seal(json.dumps(plain).encode(), place="acme/run-1"))
    assert await requests(objects).find(ACME, RUN) == accepted()
