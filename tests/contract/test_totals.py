"""What processes count together."""

from __future__ import annotations

import asyncio
import math

import pytest
import redis.asyncio

from flowray.observe.families import NODES, RUN_SECONDS
from flowray.observe.meter import Meter
from flowray.observe.tally import Series
from flowray.observe.totals import MemoryTotals, Totals
from flowray.stores.objects import open_objects
from flowray.stores.redis_totals import RedisTotals
from flowray.stores.tenant_data import TenantData
from tests.kit.clock import Clock

OURS = Series(NODES.name, ("acme", "Invoices", "f1", "Agent-1", "failed"))
THEIRS = Series(NODES.name, ("umbrella", "Invoices", "f1", "Agent-1", "failed"))
SUM = Series(RUN_SECONDS.name, ("acme", 'a "flow"\nof mine', "f1"), "sum")
NOBODYS = Series("flowray_http_requests_total", ("", "GET", "", "404", "unknown_route"))


@pytest.fixture(params=["memory", "redis"])
def totals(request: pytest.FixtureRequest) -> Totals:
    return MemoryTotals() if request.param == "memory" else RedisTotals(request.getfixturevalue("valkey"))


async def test_amounts_add_up(totals: Totals) -> None:
    await asyncio.gather(*(totals.add({OURS: 1, SUM: 0.1, NOBODYS: 2}) for _ in range(10)))
    found = await totals.read()
    assert found == {OURS: 10, SUM: pytest.approx(1.0), NOBODYS: 20}


async def test_a_series_can_be_known_before_it_counts_anything(totals: Totals) -> None:
    await totals.add({OURS: 0})
    assert await totals.read() == {OURS: 0}


async def test_one_tenants_are_read_without_the_others(totals: Totals) -> None:
    await totals.add({OURS: 1, THEIRS: 2, NOBODYS: 3})
    assert await totals.read(["acme"]) == {OURS: 1}
    assert await totals.read(["nobody"]) == {}


async def test_many_series_at_once_all_arrive(totals: Totals) -> None:
    many = {Series(NODES.name, ("acme", "F", "f1", f"Node-{number}", "finished")): 1.0 for number in range(1_000)}
    await totals.add(many)
    assert await totals.read() == many


async def test_what_redis_refuses_of_one_tenant_is_counted_for_the_others_once(valkey: redis.asyncio.Redis) -> None:
    totals, clock = RedisTotals(valkey), Clock()
    meter = Meter(totals, clock=clock)
    meter.tally.amounts |= {SUM: math.inf, THEIRS: 5.0}
    await meter.hand_on()
    clock.now = 50.0

    await meter.hand_on()
    await meter.hand_on()

    assert await totals.read() == {SUM: 0, THEIRS: 5}
    assert not meter.tally.amounts


async def test_beyond_the_most_series_the_rest_is_counted_without_names(valkey: redis.asyncio.Redis) -> None:
    totals = RedisTotals(valkey, most_series=3)
    nodes = [Series(NODES.name, ("acme", "F", "f1", f"Node-{number}", "finished")) for number in range(10)]

    await totals.add(dict.fromkeys(nodes, 1.0))
    await totals.add({nodes[0]: 1.0})

    other = Series(NODES.name, ("acme", "other", "other", "other", "finished"))
    assert await totals.read() == {nodes[0]: 2, nodes[1]: 1, nodes[2]: 1, other: 7}


async def test_beyond_the_most_series_all_parts_of_a_histogram_go_the_same_way(valkey: redis.asyncio.Redis) -> None:
    totals = RedisTotals(valkey, most_series=3)
    known, late = SUM.labels, ("acme", "Late", "f2")
    # A bucket is told before its sum, and there is room for one of the two.
    await totals.add({OURS: 1, SUM._replace(part="0.5"): 1, SUM: 0.4, SUM._replace(labels=late): 2.0})

    await totals.add({SUM._replace(part="5.0"): 1, SUM: 4.0, SUM._replace(part="5.0", labels=late): 1})

    found = await totals.read()
    parts = {labels: {one.part: n for one, n in found.items() if one.labels == labels} for labels in (known, late)}
    assert parts[known] == {"sum": pytest.approx(4.4), "0.5": 1, "5.0": 1}
    assert parts[late] == {"sum": 2.0, "5.0": 1}


async def test_without_room_no_part_of_a_new_histogram_has_its_name(valkey: redis.asyncio.Redis) -> None:
    totals = RedisTotals(valkey, most_series=1)
    await totals.add({OURS: 1, SUM._replace(part="0.5"): 1, SUM: 0.4})
    other = SUM._replace(labels=("acme", "other", "other"))
    assert await totals.read() == {OURS: 1, other: pytest.approx(0.4), other._replace(part="0.5"): 1}


async def test_a_tenant_that_is_purged_takes_its_sums_with_it(valkey: redis.asyncio.Redis) -> None:
    totals = RedisTotals(valkey)
    await totals.add({OURS: 1, THEIRS: 2})

    await TenantData(open_objects("memory:"), valkey).purge("acme")

    assert await totals.read() == {THEIRS: 2}
    assert await valkey.smembers("flowray:{metrics}") == {b"umbrella"}


async def test_what_a_process_adds_after_its_tenant_was_purged_is_nobodys(valkey: redis.asyncio.Redis) -> None:
    totals, data = RedisTotals(valkey), TenantData(open_objects("memory:"), valkey)
    await totals.add({OURS: 0})
    await data.purge("acme")

    await totals.add({OURS: 3, THEIRS: 2})

    assert await totals.read() == {THEIRS: 2}
    # Longer than a meter holds back what is new, and hands on what is due.
    assert 60 < await valkey.ttl("flowray:{metrics}-purged:acme") <= 120


async def test_the_next_tenant_of_an_id_counts_once_the_purge_is_forgotten(valkey: redis.asyncio.Redis) -> None:
    totals, data = RedisTotals(valkey), TenantData(open_objects("memory:"), valkey)
    await data.purge("acme")
    await valkey.pexpire("flowray:{metrics}-purged:acme", 0)

    await totals.add({OURS: 1})

    assert await totals.read() == {OURS: 1}


async def test_sums_go_when_nothing_is_added_for_long(valkey: redis.asyncio.Redis) -> None:
    await RedisTotals(valkey).add({OURS: 1})
    assert 29 * 86_400 < await valkey.ttl("flowray:{metrics}:acme") <= 30 * 86_400
