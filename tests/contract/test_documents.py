from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio

from flowray.errors import ConflictError, InvalidRequestError, OvertakenError
from flowray.stores.documents import Documents
from flowray.stores.generations import Generations, MemoryGenerations, RedisGenerations
from flowray.stores.latches import Latches
from flowray.stores.objects import ObjectStore
from flowray.stores.records import NEW, FlowRecord

ACME, OTHER = "acme", "other"


def flow(flow_id: str, *, version: str = "v1", revision: str = "r1", **document: Any) -> FlowRecord:
    fields = {"id": flow_id, "name": flow_id, "data": {"nodes": [], "made_for": version}}
    return FlowRecord(id=flow_id, version=version, revision=revision, document=fields | document)


async def test_a_saved_flow_is_found_and_read(documents: Documents) -> None:
    await documents.save(ACME, flow("one", description="Grüße \ud800"))
    found = await documents.find(ACME, "one")
    assert found == flow("one", description="Grüße \ud800").without_canvas()
    assert await documents.read(ACME, "one") == flow("one", description="Grüße \ud800")


async def test_a_flow_is_found_by_its_endpoint_name(documents: Documents) -> None:
    await documents.save(ACME, flow("one", endpoint_name="ask"))
    found = await documents.find(ACME, "ask")
    assert found is not None
    assert found.id == "one"


@pytest.mark.parametrize("name", ["none", "../one", "", "a/b", "x" * 1_000])
async def test_what_is_not_there_is_not_found(documents: Documents, name: str) -> None:
    await documents.save(ACME, flow("one"))
    assert await documents.find(ACME, name) is None
    assert await documents.read(ACME, name) is None
    assert await documents.versions.all(ACME, name) == ()
    await documents.delete(ACME, name)


async def test_another_tenant_sees_nothing(documents: Documents) -> None:
    await documents.save(ACME, flow("one", endpoint_name="ask"))
    assert await documents.find(OTHER, "one") is None
    assert await documents.find(OTHER, "ask") is None
    assert await documents.read(OTHER, "one") is None
    assert await documents.list(OTHER) == ()


async def test_two_tenants_may_use_the_same_ids_and_names(documents: Documents) -> None:
    await documents.save(ACME, flow("one", endpoint_name="ask", version="acme"))
    await documents.save(OTHER, flow("one", endpoint_name="ask", version="other"))
    found = await documents.read(ACME, "one")
    assert found is not None
    assert found.version == "acme"


async def test_flows_are_listed_by_name_without_their_canvases(documents: Documents) -> None:
    await documents.save(ACME, flow("one", name="b"))
    await documents.save(ACME, flow("two", name="A"))
    listed = await documents.list(ACME)
    assert [(one.name, "data" in one.document) for one in listed] == [("A", False), ("b", False)]


async def test_every_version_stays_readable(documents: Documents) -> None:
    await documents.save(ACME, flow("one", version="v1", revision="r1"))
    await documents.save(ACME, flow("one", version="v2", revision="r2"))
    newest = await documents.read(ACME, "one")
    older = await documents.read(ACME, "one", version="v1")
    assert newest == flow("one", version="v2", revision="r2")
    assert older is not None
    assert (older.version, older.document["data"]["made_for"]) == ("v1", "v1")
    assert [one.version for one in await documents.versions.all(ACME, "one")] == ["v2", "v1"]
    assert await documents.read(ACME, "one", version="v3") is None
    assert await documents.read(ACME, "one", version="../v1") is None


async def test_a_change_shows_at_once(documents: Documents) -> None:
    await documents.save(ACME, flow("one", name="before", endpoint_name="old"))
    await documents.save(ACME, flow("one", name="after", endpoint_name="new", revision="r2"))
    assert [one.name for one in await documents.list(ACME)] == ["after"]
    assert await documents.find(ACME, "old") is None
    assert await documents.find(ACME, "new") is not None


async def test_a_deleted_flow_is_gone_with_its_versions_and_files(documents: Documents, objects: ObjectStore) -> None:
    await documents.save(ACME, flow("one", endpoint_name="ask"))
    await documents.claim_file(ACME, "one/notes.txt")
    await documents.save_file(ACME, "one/notes.txt", b"content")
    await documents.delete(ACME, "one")
    assert await documents.find(ACME, "one") is None
    assert await documents.list(ACME) == ()
    assert [one.key async for one in objects.list("tenants")] == []


@pytest.mark.parametrize("taken", [{"name": "Mine"}, {"name": "other", "endpoint_name": "mine"}])
async def test_a_name_belongs_to_one_flow(documents: Documents, taken: dict[str, str]) -> None:
    await documents.save(ACME, flow("one", name="Mine", endpoint_name="mine"))
    with pytest.raises(ConflictError, match="belongs to the flow `one`"):
        await documents.save(ACME, flow("two", **taken))
    assert [one.id for one in await documents.list(ACME)] == ["one"]


async def test_a_refused_flow_leaves_its_other_name_free(documents: Documents) -> None:
    await documents.save(ACME, flow("one", endpoint_name="mine"))
    with pytest.raises(ConflictError):
        await documents.save(ACME, flow("two", name="fresh", endpoint_name="mine"))
    await documents.save(ACME, flow("three", name="fresh"))


async def test_a_name_that_was_given_up_may_be_taken(documents: Documents) -> None:
    await documents.save(ACME, flow("one", name="wanted"))
    await documents.save(ACME, flow("one", name="renamed", revision="r2"))
    await documents.save(ACME, flow("two", name="wanted"))
    await documents.delete(ACME, "one")
    await documents.save(ACME, flow("three", name="renamed"))


async def test_only_one_of_many_gets_a_name(documents: Documents) -> None:
    saves = [documents.save(ACME, flow(f"flow-{number}", name="wanted")) for number in range(4)]
    outcomes = await asyncio.gather(*saves, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError"] * 3 + ["NoneType"]


async def test_a_name_whose_flow_was_never_saved_is_free_after_a_while(
    documents: Documents, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await objects.create("tenants/acme/names/name/nwanted", b"crashed")
    with pytest.raises(ConflictError):
        await documents.save(ACME, flow("one", name="wanted"))
    monkeypatch.setattr("flowray.stores.names._UNDER_WAY", timedelta(seconds=-5))
    await documents.save(ACME, flow("one", name="wanted"))


@pytest.mark.parametrize("flow_id", ["../x", "a/b", "", ".hidden", "x" * 300])
async def test_an_id_that_reaches_elsewhere_is_refused(documents: Documents, flow_id: str) -> None:
    with pytest.raises(InvalidRequestError):
        await documents.save(ACME, flow(flow_id))


@pytest.mark.parametrize("tenant", ["..", "a/b", ""])
async def test_a_tenant_that_reaches_elsewhere_is_refused(documents: Documents, tenant: str) -> None:
    with pytest.raises(InvalidRequestError):
        await documents.save(tenant, flow("one"))


async def test_another_replica_sees_changes_at_once(objects: ObjectStore, generations: Generations) -> None:
    here, there = Documents(objects, generations), Documents(objects, generations)
    assert await there.list(ACME) == ()
    await here.save(ACME, flow("one", name="first"))
    assert [one.name for one in await there.list(ACME)] == ["first"]
    await here.save(ACME, flow("one", name="second", revision="r2"))
    await here.save(ACME, flow("two"))
    assert [one.name for one in await there.list(ACME)] == ["second", "two"]
    await here.delete(ACME, "one")
    assert [one.name for one in await there.list(ACME)] == ["two"]


async def test_a_change_behind_its_back_shows_after_a_rebuild(objects: ObjectStore, generations: Generations) -> None:
    documents = Documents(objects, generations)
    await documents.save(ACME, flow("one"))
    await documents.list(ACME)
    await Documents(objects, MemoryGenerations()).save(ACME, flow("two"))
    await documents.rebuild(ACME)
    assert {one.id for one in await documents.list(ACME)} == {"one", "two"}


async def test_a_redis_that_lost_everything_costs_nothing(objects: ObjectStore, valkey: redis.asyncio.Redis) -> None:
    documents = Documents(objects, RedisGenerations(valkey))
    await documents.save(ACME, flow("one", endpoint_name="ask"))
    await valkey.flushdb()
    assert await documents.find(ACME, "ask") is not None
    with pytest.raises(ConflictError):
        await documents.save(ACME, flow("two", endpoint_name="ask"))


async def test_a_file_is_found_where_it_was_kept(documents: Documents, objects: ObjectStore) -> None:
    await documents.save_file(ACME, "one/2024 Größe.csv", b"a,b")
    ref = await documents.find_file(ACME, "one/2024 Größe.csv")
    assert ref is not None
    assert (ref.size, await objects.get(ref.key)) == (3, b"a,b")
    assert ref.key.startswith("tenants/acme/files/one/")


async def test_a_file_that_comes_again_is_replaced(documents: Documents, objects: ObjectStore) -> None:
    await documents.save_file(ACME, "one/a.txt", b"old")
    await documents.save_file(ACME, "one/a.txt", b"newer")
    ref = await documents.find_file(ACME, "one/a.txt")
    assert ref is not None
    assert await objects.get(ref.key) == b"newer"
    assert len([one async for one in objects.list("tenants/acme/files")]) == 1


async def test_of_many_that_claim_a_files_path_one_has_it_until_it_is_deleted(documents: Documents) -> None:
    claims = [documents.claim_file(ACME, "one/a.txt") for _ in range(5)]
    assert sorted(await asyncio.gather(*claims)) == [False] * 4 + [True]
    assert await documents.claim_file(OTHER, "one/a.txt")
    await documents.save_file(ACME, "one/a.txt", b"content")
    assert not await documents.claim_file(ACME, "one/a.txt")
    await documents.delete_file(ACME, "one/a.txt")
    assert await documents.claim_file(ACME, "one/a.txt")


@pytest.mark.parametrize("path", ["one/none", "one", "", "/etc/passwd", "../one/a.txt", "one/../../x"])
async def test_a_file_that_was_not_kept_is_not_found(documents: Documents, path: str) -> None:
    await documents.save_file(ACME, "one/a.txt", b"content")
    assert await documents.find_file(ACME, path) is None
    assert await documents.find_file(OTHER, "one/a.txt") is None


@pytest.mark.parametrize("path", ["one", "", "/etc/passwd", "../a.txt", "one/"])
async def test_a_file_without_a_flow_is_refused(documents: Documents, path: str) -> None:
    with pytest.raises(InvalidRequestError):
        await documents.save_file(ACME, path, b"content")


@pytest.mark.parametrize(("follows", "revisions"), [("r1", ("r2", "r3")), (NEW, ("r1", "r2"))])
async def test_of_two_replicas_that_change_or_make_the_same_flow_one_is_overtaken(
    documents: Documents, objects: ObjectStore, generations: Generations, follows: str, revisions: tuple[str, str]
) -> None:
    if follows != NEW:
        await documents.save(ACME, flow("one", version=follows, revision=follows))
    saves = [
        replica.save(ACME, flow("one", version=new, revision=new), follows=follows)
        for replica, new in zip((documents, Documents(objects, generations)), revisions, strict=True)
    ]

    outcomes = await asyncio.gather(*saves, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome is not None] == [OvertakenError]
    kept = await documents.read(ACME, "one")
    assert kept is not None
    assert kept.revision == revisions[outcomes.index(None)]


async def test_who_waits_too_long_for_another_change_is_refused(objects: ObjectStore) -> None:
    latches = Latches(objects, patience_s=0)

    async with latches.held(ACME, "one"):
        with pytest.raises(ConflictError, match="somebody else"):
            await latches.held(ACME, "one").__aenter__()
        async with latches.held(ACME, "two"):
            pass

    async with latches.held(ACME, "one"):
        pass
