"""The versions of flows, as the object store keeps them, whatever tells replicas of changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import redis.asyncio

from flowray.engine.codec import dumps
from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.stores.documents import Documents
from flowray.stores.generations import Generations, RedisGenerations
from flowray.stores.latches import Latches
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.records import VersionRecord
from flowray.stores.tags import Canary, Tag
from flowray.stores.versions import UnknownVersionError, VersionInUseError, Versions
from tests.contract.test_documents import ACME, OTHER, flow

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


@pytest.fixture
async def documents(objects: ObjectStore, generations: Generations) -> Documents:
    documents = Documents(objects, generations)
    await documents.save(ACME, flow("one", version=ONE))
    await documents.save(ACME, flow("one", version=TWO, revision="r2"), note="better")
    return documents


async def test_versions_are_listed_the_newest_first(documents: Documents) -> None:
    found = await documents.versions.all(ACME, "one")
    assert [(one.number, one.version, one.description) for one in found] == [(2, TWO, "better"), (1, ONE, None)]
    assert await documents.versions.all(OTHER, "one") == ()


async def test_a_save_of_the_same_content_is_no_new_version(documents: Documents) -> None:
    await documents.save(ACME, flow("one", version=TWO, revision="r3", description="other"))
    assert len(await documents.versions.all(ACME, "one")) == 2


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("v1", ONE),
        ("2", TWO),
        ("latest", TWO),
        ("11111111", ONE),
        (TWO, TWO),
        ("v3", None),
        ("1111", None),
        ("x", None),
    ],
)
async def test_a_name_means_a_version(documents: Documents, name: str, version: str | None) -> None:
    assert await documents.versions.resolve(ACME, "one", name) == version
    assert await documents.versions.resolve(OTHER, "one", name) is None


async def test_a_moved_tag_shows_to_other_replicas_at_once(
    documents: Documents, objects: ObjectStore, generations: Generations
) -> None:
    there = Documents(objects, generations).versions
    await documents.versions.tag(ACME, "one", "prod.eu", ONE)
    assert await there.resolve(ACME, "one", "prod.eu") == ONE
    await documents.versions.tag(ACME, "one", "prod.eu", TWO)
    assert await there.resolve(ACME, "one", "prod.eu") == TWO
    await documents.versions.untag(ACME, "one", "prod.eu")
    assert await there.resolve(ACME, "one", "prod.eu") is None
    with pytest.raises(NotFoundError):
        await there.untag(ACME, "one", "prod.eu")


async def test_two_tags_that_are_set_at_once_both_hold(documents: Documents) -> None:
    await asyncio.gather(*(documents.versions.tag(ACME, "one", f"tag-{number}", ONE) for number in range(5)))
    assert len(await documents.versions.tags(ACME, "one")) == 5


@pytest.mark.parametrize("tag", ["v1", "12", "latest", "abcdef12"])
async def test_a_tag_is_not_named_like_a_version(documents: Documents, tag: str) -> None:
    with pytest.raises(InvalidRequestError):
        await documents.versions.tag(ACME, "one", tag, ONE)


async def test_versions_kept_at_once_each_get_a_number(documents: Documents) -> None:
    keeps = (documents.versions.keep(ACME, "one", digit * 64, {"data": {}}) for digit in "3456")
    assert sorted(one.number for one in await asyncio.gather(*keeps)) == [3, 4, 5, 6]


async def test_what_is_current_or_tagged_is_not_forgotten(documents: Documents) -> None:
    two, one = await documents.versions.all(ACME, "one")
    await documents.versions.tag(ACME, "one", "prod", ONE)
    for record in (one, two):
        with pytest.raises(VersionInUseError):
            await documents.versions.forget(ACME, "one", record)
    await documents.versions.untag(ACME, "one", "prod")
    await documents.versions.forget(ACME, "one", one)
    assert await documents.read(ACME, "one", version=ONE) is None
    assert [one.number for one in await documents.versions.all(ACME, "one")] == [2]


async def test_content_stays_as_long_as_another_number_has_it(documents: Documents) -> None:
    await documents.save(ACME, flow("one", version=ONE, revision="r3"))
    await documents.save(ACME, flow("one", version=THREE, revision="r4"))
    oldest = (await documents.versions.all(ACME, "one"))[-1]
    await documents.versions.forget(ACME, "one", oldest)
    assert await documents.read(ACME, "one", version=ONE) is not None


async def test_what_was_kept_aside_goes_although_its_content_is_current(documents: Documents) -> None:
    kept = await documents.versions.keep(ACME, "one", TWO, {"data": {}})
    await documents.versions.forget(ACME, "one", kept)
    assert [one.number for one in await documents.versions.all(ACME, "one")] == [2, 1]
    assert await documents.read(ACME, "one", version=TWO) is not None


async def test_a_number_that_was_forgotten_is_not_given_again(documents: Documents) -> None:
    kept = await documents.versions.keep(ACME, "one", THREE, {"data": {}})
    await documents.versions.forget(ACME, "one", kept)
    again = await documents.versions.keep(ACME, "one", THREE, {"data": {}})
    assert (kept.number, again.number) == (3, 4)


async def test_a_flow_from_before_there_was_a_history_has_what_is_kept_of_it(
    documents: Documents, objects: ObjectStore
) -> None:
    async for found in objects.list("tenants/acme/history"):
        await objects.delete(found.key)
    before = await documents.versions.all(ACME, "one")
    assert [(one.number, one.version) for one in before] == [(2, TWO), (1, ONE)]
    await documents.save(ACME, flow("one", version=THREE, revision="r3"))
    assert [(one.number, one.version) for one in await documents.versions.all(ACME, "one")] == [
        (3, THREE),
        (2, TWO),
        (1, ONE),
    ]


async def test_a_redis_that_lost_everything_costs_no_version(objects: ObjectStore, valkey: redis.asyncio.Redis) -> None:
    documents = Documents(objects, RedisGenerations(valkey))
    await documents.save(ACME, flow("one", version=ONE))
    await documents.versions.tag(ACME, "one", "prod", ONE)
    await valkey.flushdb()
    assert await documents.versions.resolve(ACME, "one", "prod") == ONE


async def test_a_canary_is_told_to_those_whom_it_takes_and_to_nobody_else(
    documents: Documents, objects: ObjectStore, generations: Generations
) -> None:
    there = Documents(objects, generations).versions
    await documents.versions.tag(ACME, "one", "prod", ONE, canary=Canary(version=TWO, share=0.3))
    told = [await there.resolve(ACME, "one", "prod", whom=f"session-{number}") for number in range(300)]
    again = [await there.resolve(ACME, "one", "prod", whom=f"session-{number}") for number in range(300)]
    assert 60 < told.count(TWO) < 120
    assert told == again
    assert await there.resolve(ACME, "one", "prod") == ONE
    assert await there.resolve(ACME, "one", "v1", whom="session-1") == ONE

    await documents.versions.tag(ACME, "one", "prod", ONE)
    assert {await there.resolve(ACME, "one", "prod", whom=f"session-{number}") for number in range(50)} == {ONE}


async def test_a_canary_is_not_forgotten_while_a_tag_has_it(documents: Documents) -> None:
    two, one = await documents.versions.all(ACME, "one")
    await documents.versions.tag(ACME, "one", "prod", TWO, canary=Canary(version=ONE, share=0.5))
    with pytest.raises(VersionInUseError, match="Version v1 is the canary of the tag `prod`"):
        await documents.versions.forget(ACME, "one", one)
    await documents.versions.tag(ACME, "one", "prod", TWO)
    await documents.versions.forget(ACME, "one", one)
    assert [left.number for left in await documents.versions.all(ACME, "one")] == [two.number]


async def test_a_tag_from_before_there_were_canaries_still_stands(documents: Documents, objects: ObjectStore) -> None:
    await objects.put(path(ACME, "tags", "one", "nprod.json"), dumps({"version": ONE}))
    assert await documents.versions.tags(ACME, "one") == {"prod": Tag(version=ONE)}


@pytest.mark.parametrize("before", [None, Tag(version=TWO)])
@pytest.mark.parametrize("canary", [None, Canary(version=ONE, share=0.5)])
async def test_a_tag_is_not_left_at_a_version_that_was_forgotten_meanwhile(
    documents: Documents, before: Tag | None, canary: Canary | None
) -> None:
    versions = documents.versions
    if before is not None:
        await versions.tag(ACME, "one", "prod", before.version)
    await versions.forget(ACME, "one", (await versions.all(ACME, "one"))[1])

    with pytest.raises(UnknownVersionError):
        await versions.tag(ACME, "one", "prod", TWO if canary else ONE, canary=canary)

    assert await versions.tags(ACME, "one") == ({} if before is None else {"prod": before})
    assert await versions.resolve(ACME, "one", "prod") == (before and before.version)


async def test_a_tag_whose_version_before_is_forgotten_too_goes(documents: Documents, objects: ObjectStore) -> None:
    await objects.put(path(ACME, "tags", "one", "nprod.json"), dumps({"version": THREE}))

    with pytest.raises(UnknownVersionError):
        await documents.versions.tag(ACME, "one", "prod", "4" * 64)

    assert await documents.versions.tags(ACME, "one") == {}


async def test_a_version_that_is_tagged_while_it_is_forgotten_stays(
    documents: Documents, objects: ObjectStore, generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, versions = Documents(objects, generations).versions, documents.versions
    two, one = await versions.all(ACME, "one")

    async def tagged_first(tenant: str, flow_id: str, number: int) -> None:
        await there.tag(tenant, flow_id, "race", ONE)
        await there.history.forget(tenant, flow_id, number)

    monkeypatch.setattr(versions.history, "forget", tagged_first)
    with pytest.raises(VersionInUseError, match="`race`"):
        await versions.forget(ACME, "one", one)

    assert await there.all(ACME, "one") == (two, one)
    assert await there.resolve(ACME, "one", "race") == ONE
    assert await documents.read(ACME, "one", version=ONE) is not None


@pytest.fixture
def hasty(objects: ObjectStore, generations: Generations) -> Versions:
    """The same versions, for whoever does not wait for others."""
    versions = Documents(objects, generations).versions
    versions._latches = Latches(objects, patience_s=0)
    return versions


def forget_before_adding(history: Any, hasty: Versions, record: VersionRecord, patch: pytest.MonkeyPatch) -> None:
    """Have somebody else try to forget a version before `history` takes a number for another one."""
    add = history.add

    async def forgotten_first(*what: Any, **facts: Any) -> VersionRecord:
        with suppress(ConflictError):
            await hasty.forget(ACME, "one", record)
        added: VersionRecord = await add(*what, **facts)
        return added

    patch.setattr(history, "add", forgotten_first)


async def test_a_version_that_is_forgotten_while_the_flow_becomes_it_again_stays(
    documents: Documents, hasty: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = (await documents.versions.all(ACME, "one"))[-1]
    forget_before_adding(documents.versions.history, hasty, oldest, monkeypatch)

    await documents.save(ACME, flow("one", version=ONE, revision="r3"), follows="r2")

    assert await documents.read(ACME, "one") == flow("one", version=ONE, revision="r3")
    await documents.save(ACME, flow("one", version=THREE, revision="r4"), follows="r3")


async def test_a_version_that_is_forgotten_while_it_is_kept_aside_stays(
    documents: Documents, hasty: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = (await documents.versions.all(ACME, "one"))[-1]
    forget_before_adding(documents.versions.history, hasty, oldest, monkeypatch)

    await documents.versions.keep(ACME, "one", ONE, {"data": {}})

    assert await documents.read(ACME, "one", version=ONE) is not None


async def test_nothing_is_kept_aside_of_a_flow_that_is_gone(documents: Documents, objects: ObjectStore) -> None:
    await documents.delete(ACME, "one")
    with pytest.raises(NotFoundError):
        await documents.versions.keep(ACME, "one", THREE, {"data": {}})
    assert [one.key async for one in objects.list("tenants")] == []


async def test_what_was_forgotten_is_neither_described_nor_forgotten_again(documents: Documents) -> None:
    two, one = await documents.versions.all(ACME, "one")
    await documents.versions.forget(ACME, "one", one)

    with pytest.raises(UnknownVersionError):
        await documents.versions.describe(ACME, "one", one, "late")
    with pytest.raises(UnknownVersionError):
        await documents.versions.forget(ACME, "one", one)

    assert await documents.versions.all(ACME, "one") == (two,)
