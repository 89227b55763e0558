from __future__ import annotations

from typing import Any

import pytest
import redis.asyncio

from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.redis_news import RedisNews
from flowray.stores.tenant_records import ObjectTenantRecords
from flowray.tenancy.news import MemoryNews, News
from flowray.tenancy.tenants import MemoryTenantRecords, TenantRecords, Tenants
from tests.contract.overtaken import Overtaken
from tests.contract.replicas import Heard, followed

ACME, OTHER = "acme", "other"


@pytest.fixture(params=["memory", "objects"])
def records(request: pytest.FixtureRequest) -> TenantRecords:
    return MemoryTenantRecords() if request.param == "memory" else ObjectTenantRecords(open_objects("memory:"))


@pytest.fixture
def tenants(records: TenantRecords) -> Tenants:
    return Tenants(records, MemoryNews(), clock=iter(range(1, 100)).__next__)


async def test_what_is_settled_for_a_tenant_is_found_again(tenants: Tenants) -> None:
    made = await tenants.create(ACME, {"name": "Acme", "egress": ["api.openai.com"], "quotas": {"flows": 3}})
    assert await tenants.of(ACME) == made
    assert (made.name, made.egress, made.quotas["flows"], made.state) == ("Acme", ("api.openai.com",), 3, "active")


async def test_a_tenant_that_is_not_there_is_not_found(tenants: Tenants) -> None:
    await tenants.create(ACME)
    assert await tenants.find(OTHER) is None
    for name in (OTHER, "", "..", "a/b"):
        with pytest.raises(NotFoundError):
            await tenants.of(name)
        with pytest.raises(NotFoundError):
            await tenants.settle(name, {"name": "x"})


async def test_no_two_tenants_have_the_same_id(tenants: Tenants) -> None:
    await tenants.create(ACME, {"name": "first"})
    with pytest.raises(ConflictError):
        await tenants.create(ACME, {"name": "second"})
    assert (await tenants.of(ACME)).name == "first"


async def test_a_change_leaves_the_rest_as_it_was_and_is_another_revision(tenants: Tenants) -> None:
    made = await tenants.create(ACME, {"name": "Acme", "roles": {"devs": "editor"}})
    changed = await tenants.settle(ACME, {"state": "suspended"}, revision=made.revision)
    assert (changed.name, changed.roles, changed.is_active) == ("Acme", {"devs": "editor"}, False)
    assert changed.revision != made.revision
    assert changed.changed_at > made.changed_at == changed.created_at
    assert await tenants.of(ACME) == changed


async def test_a_later_change_says_a_later_time_though_its_clock_is_behind(records: TenantRecords) -> None:
    made = await Tenants(records, MemoryNews(), clock=lambda: 1_700_000_000.0).create(ACME)
    behind = Tenants(records, MemoryNews(), clock=lambda: 1_600_000_000.0)
    first, second = [await behind.settle(ACME, {"name": name}) for name in ("first", "second")]
    assert made.changed_at < first.changed_at < second.changed_at


async def test_a_change_of_nothing_is_no_change(tenants: Tenants) -> None:
    made = await tenants.create(ACME, {"name": "Acme"})
    assert await tenants.settle(ACME, {"name": "Acme", "egress": None}) == made


async def test_who_saw_an_older_revision_does_not_undo_a_newer_one(tenants: Tenants) -> None:
    made = await tenants.create(ACME)
    await tenants.settle(ACME, {"name": "newer"})
    with pytest.raises(ConflictError):
        await tenants.settle(ACME, {"name": "older"}, revision=made.revision)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"state": "asleep"}, "state"),
        ({"name": 1}, "name"),
        ({"egress": "x.org"}, "egress"),
        ({"egress": ["x.org", 1]}, r"egress`\[1\]"),
        ({"roles": {"devs": "king"}}, "devs"),
        ({"roles": {"devs": "operator"}}, "devs"),
        ({"quotas": []}, "quotas"),
        ({"quota": {}}, "Did you mean `quotas`"),
        ({"id": "other"}, "id"),
        ({"revision": "x"}, "revision"),
    ],
)
async def test_a_setting_that_is_wrong_is_named(tenants: Tenants, change: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidRequestError, match=names):
        await tenants.create(ACME, change)
    assert await tenants.find(ACME) is None


async def test_tenants_are_listed_by_id_and_forgotten(tenants: Tenants) -> None:
    for name in ("b", "a", "c"):
        await tenants.create(name)
    await tenants.remove("b")
    await tenants.remove("b")
    assert [tenant.id for tenant in await tenants.list()] == ["a", "c"]
    assert await tenants.find("b") is None


async def test_a_change_is_seen_by_the_other_replica(replicas: tuple[News, News]) -> None:
    records, heard = MemoryTenantRecords(), Heard(replicas[1])
    here, there = (Tenants(records, news) for news in replicas)
    await here.create(ACME)
    await heard.of(ACME)
    assert (await there.of(ACME)).is_active

    await here.settle(ACME, {"state": "suspended"})

    assert not (await here.of(ACME)).is_active
    await heard.of(ACME)
    assert not (await there.of(ACME)).is_active


async def test_nothing_is_remembered_while_no_news_get_through(valkey: redis.asyncio.Redis) -> None:
    records = MemoryTenantRecords()
    news = RedisNews(valkey)  # nobody follows
    await Tenants(records, MemoryNews()).create(ACME)
    tenants = Tenants(records, news)
    assert (await tenants.of(ACME)).is_active

    await Tenants(records, MemoryNews()).settle(ACME, {"state": "suspended"})

    assert not news.is_current
    assert not (await tenants.of(ACME)).is_active


async def test_news_get_through_again_after_redis_has_lost_everything(valkey: redis.asyncio.Redis) -> None:
    async with followed(valkey) as news:
        heard = Heard(news)
        await RedisNews(valkey).tell("tenant", "one")
        await heard.of("one")

        await valkey.flushall()
        lost_in = await millisecond(valkey)
        while await millisecond(valkey) == lost_in:
            pass  # the ids of a stream tell milliseconds apart
        await RedisNews(valkey).tell("tenant", "two")

        await heard.of("two")


async def millisecond(valkey: redis.asyncio.Redis) -> int:
    seconds, micros = await valkey.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def test_settings_are_kept_on_every_kind_of_store(objects: ObjectStore) -> None:
    made = await Tenants(ObjectTenantRecords(objects), MemoryNews()).create(ACME, {"egress": ["x.org"]})
    again = Tenants(ObjectTenantRecords(objects), MemoryNews())
    assert await again.of(ACME) == made
    assert await again.list() == [made]


async def test_a_change_beside_a_suspension_does_not_undo_it(objects: ObjectStore) -> None:
    there = Tenants(ObjectTenantRecords(objects), MemoryNews())
    await there.create(ACME)
    overtaken = Overtaken(objects, lambda: there.settle(ACME, {"state": "suspended"}))
    here = Tenants(ObjectTenantRecords(overtaken), MemoryNews())

    changed = await here.settle(ACME, {"name": "Acme"})

    assert (changed.name, changed.state) == ("Acme", "suspended")
    assert await here.of(ACME) == changed


async def test_who_named_a_revision_is_told_of_a_change_beside_theirs(objects: ObjectStore) -> None:
    there = Tenants(ObjectTenantRecords(objects), MemoryNews())
    made = await there.create(ACME)
    overtaken = Overtaken(objects, lambda: there.settle(ACME, {"state": "suspended"}))
    with pytest.raises(ConflictError, match="changed meanwhile"):
        await Tenants(ObjectTenantRecords(overtaken), MemoryNews()).settle(ACME, {"name": "x"}, revision=made.revision)
    assert ((await there.of(ACME)).name, (await there.of(ACME)).state) == ("", "suspended")


async def test_a_tenant_that_is_removed_beside_a_change_stays_removed(objects: ObjectStore) -> None:
    there = Tenants(ObjectTenantRecords(objects), MemoryNews())
    await there.create(ACME)
    overtaken = Overtaken(objects, lambda: there.remove(ACME))
    with pytest.raises(NotFoundError):
        await Tenants(ObjectTenantRecords(overtaken), MemoryNews()).settle(ACME, {"name": "Acme"})
    assert await there.list() == []
