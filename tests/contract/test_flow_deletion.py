"""Deletions of flows that break off, or come too late."""

from __future__ import annotations

import pytest

from flowray.errors import NotFoundError, OvertakenError, StoreUnavailableError
from flowray.stores.documents import Documents
from flowray.stores.generations import Generations
from flowray.stores.objects import ObjectStore
from flowray.stores.records import NEW
from tests.contract.test_documents import ACME, flow


class Failing(ObjectStore):
    """What `objects` has; the attempt with this number, counted from 1, to clear a folder fails."""

    def __init__(self, objects: ObjectStore, *, attempt: int) -> None:
        super().__init__(objects._store, name=objects._name)
        self._left = attempt

    async def clear(self, folder: str) -> None:
        self._left -= 1
        if self._left == 0:
            raise StoreUnavailableError("away")
        await super().clear(folder)


@pytest.fixture(params=[1, 3, 5])
async def broken_off(request: pytest.FixtureRequest, objects: ObjectStore, generations: Generations) -> Documents:
    """A flow that was tagged, had a file and was read by all; its deletion broke off at one folder or another."""
    documents = Documents(Failing(objects, attempt=request.param), generations)
    await documents.save(ACME, flow("one", endpoint_name="ask"))
    await documents.versions.tag(ACME, "one", "prod", "v1")
    await documents.claim_file(ACME, "one/notes.txt")
    await documents.save_file(ACME, "one/notes.txt", b"content")
    assert await documents.versions.resolve(ACME, "one", "prod") == "v1"
    with pytest.raises(StoreUnavailableError):
        await documents.delete(ACME, "one")
    return documents


async def test_a_deletion_that_broke_off_is_made_again(broken_off: Documents, objects: ObjectStore) -> None:
    found = await broken_off.find(ACME, "ask")
    assert found is not None
    await broken_off.delete(ACME, found.id)
    assert [one.key async for one in objects.list("tenants")] == []


async def test_of_a_flow_whose_deletion_broke_off_nothing_is_read_or_kept(broken_off: Documents) -> None:
    assert await broken_off.read(ACME, "one") is None
    assert await broken_off.read(ACME, "one", version="v1") is None
    assert await broken_off.versions.resolve(ACME, "one", "prod") is None
    assert await broken_off.versions.resolve(ACME, "one", "latest") is None
    with pytest.raises(NotFoundError):
        await broken_off.versions.keep(ACME, "one", "v2", {"data": {}})


async def test_the_next_flow_of_the_id_inherits_nothing(broken_off: Documents) -> None:
    await broken_off.save(ACME, flow("one", version="v2", revision="r2"), follows=NEW)
    assert [(one.number, one.version) for one in await broken_off.versions.all(ACME, "one")] == [(1, "v2")]
    assert await broken_off.versions.tags(ACME, "one") == {}
    assert await broken_off.file_names(ACME, "one") == ()
    assert await broken_off.claim_file(ACME, "one/notes.txt")
    assert await broken_off.read(ACME, "one", version="v1") is None
    assert await broken_off.find(ACME, "ask") is None


@pytest.mark.parametrize("follows", ["r1", NEW])
async def test_a_flow_that_is_another_one_by_now_is_not_deleted(documents: Documents, follows: str) -> None:
    await documents.save(ACME, flow("one", revision="r2"))
    with pytest.raises(OvertakenError):
        await documents.delete(ACME, "one", follows=follows)
    assert await documents.read(ACME, "one") == flow("one", revision="r2")
    await documents.delete(ACME, "one", follows="r2")
    assert await documents.find(ACME, "one") is None


async def test_a_deletion_that_broke_off_is_made_again_by_who_follows_what_is_listed(broken_off: Documents) -> None:
    (found,) = await broken_off.list(ACME)
    await broken_off.delete(ACME, found.id, follows=found.revision)
    assert await broken_off.list(ACME) == ()
