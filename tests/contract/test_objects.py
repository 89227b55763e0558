import asyncio
import hashlib
from pathlib import Path

import pytest

from flowray.engine.values import Ref
from flowray.errors import InvalidRequestError, NotFoundError, OvertakenError, SettingsError, StoreUnavailableError
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.paths import path, spelled
from tests.contract.overtaken import Overtaken

KEY = path("acme", "values", "one")


async def test_what_was_put_is_there(objects: ObjectStore) -> None:
    ref = await objects.put(KEY, b"content")
    assert ref == Ref(key=KEY, size=7, sha256=hashlib.sha256(b"content").hexdigest())
    assert await objects.get(ref.key) == b"content"


async def test_nothing_is_a_content_too(objects: ObjectStore) -> None:
    await objects.put(KEY, b"")
    assert await objects.get(KEY) == b""


async def test_large_objects_come_back_whole(objects: ObjectStore) -> None:
    content = bytes(range(256)) * 40_000
    await objects.put(KEY, content)
    assert await objects.get(KEY) == content


async def test_a_second_put_replaces_the_first(objects: ObjectStore) -> None:
    await objects.put(KEY, b"old")
    await objects.put(KEY, b"new")
    assert await objects.get(KEY) == b"new"


async def test_what_is_not_there_is_not_found(objects: ObjectStore) -> None:
    with pytest.raises(NotFoundError):
        await objects.get(KEY)


async def test_only_the_first_of_many_creates(objects: ObjectStore) -> None:
    created = await asyncio.gather(*(objects.create(KEY, str(number).encode()) for number in range(5)))
    assert sorted(created) == [False, False, False, False, True]
    assert await objects.get(KEY) == str(created.index(True)).encode()


def one_more(content: bytes) -> bytes:
    return content + b"1"


async def test_every_change_is_made_of_what_another_left(objects: ObjectStore) -> None:
    await objects.put(KEY, b"")
    await asyncio.gather(*(objects.change(KEY, one_more) for _ in range(5)))
    assert await objects.get(KEY) == b"11111"


async def test_who_is_overtaken_changes_what_is_there_by_then(objects: ObjectStore) -> None:
    await objects.put(KEY, b"old")
    overtaken = Overtaken(objects, lambda: objects.put(KEY, b"new"))
    assert await overtaken.change(KEY, one_more) == b"new1" == await objects.get(KEY)


async def test_who_is_overtaken_again_and_again_is_told(objects: ObjectStore) -> None:
    await objects.put(KEY, b"")
    overtaken = Overtaken(objects, lambda: objects.change(KEY, one_more), reads=range(1_000))
    with pytest.raises(OvertakenError, match="Try again"):
        await overtaken.change(KEY, one_more)
    assert await objects.get(KEY) == b"1" * overtaken.reads


async def test_a_change_brings_nothing_into_being(objects: ObjectStore) -> None:
    await objects.put("tenants/acme/other", b"")
    assert await objects.change(KEY, one_more) is None
    await objects.put(KEY, b"old")
    assert await Overtaken(objects, lambda: objects.delete(KEY)).change(KEY, one_more) is None
    assert not await objects.exists(KEY)


async def test_what_is_deleted_in_the_midst_of_changes_is_gone(objects: ObjectStore) -> None:
    for _ in range(20):
        await objects.put(KEY, b"old")
        await asyncio.gather(objects.change(KEY, one_more), objects.delete(KEY), objects.change(KEY, one_more))
        assert not await objects.exists(KEY)


async def test_deleting_twice_is_deleting_once(objects: ObjectStore) -> None:
    await objects.put(KEY, b"content")
    await objects.delete(KEY)
    await objects.delete(KEY)
    with pytest.raises(NotFoundError):
        await objects.get(KEY)


async def test_a_list_shows_what_lies_below_a_folder_and_nothing_else(objects: ObjectStore) -> None:
    await objects.put("tenants/acme/flows/b", b"12")
    await objects.put("tenants/acme/flows/deep/a", b"1")
    await objects.put("tenants/acme/flows2/c", b"1")
    found = {one.key: one.size async for one in objects.list("tenants/acme/flows")}
    assert found == {"tenants/acme/flows/b": 2, "tenants/acme/flows/deep/a": 1}


async def test_a_list_of_nothing_is_empty(objects: ObjectStore) -> None:
    assert [one async for one in objects.list("tenants/nobody")] == []


async def test_a_tag_changes_with_the_content(objects: ObjectStore) -> None:
    await objects.put(KEY, b"one")
    before = [one.tag async for one in objects.list("tenants")]
    await objects.put(KEY, b"two!")
    assert [one.tag async for one in objects.list("tenants")] != before


@pytest.mark.parametrize(
    "name", ["plain", "with space/and slash", "..", ".", "", "Größe", "x" * 5_000, "\ud800", "a%2Fb"]
)
async def test_any_name_can_be_spelled_as_a_key(objects: ObjectStore, name: str) -> None:
    key = path("acme", "files", spelled(name))
    await objects.put(key, b"content")
    assert await objects.get(key) == b"content"
    assert [one.key async for one in objects.list("tenants/acme/files")] == [key]


@pytest.mark.parametrize("segment", ["", "..", ".hidden", "a/b", "a\\b", "a b", "ü", "a\n", "x" * 256])
def test_a_strange_segment_is_refused(segment: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be an id"):
        path("acme", segment)


def test_names_are_spelled_each_in_its_own_way() -> None:
    names = ["a", "A", "a.", "a.2e", "a/", "x" * 300, "x" * 301, "", "n"]
    assert len({spelled(name) for name in names}) == len(names)


async def test_a_bucket_that_does_not_answer_is_unavailable() -> None:
    options = {"endpoint": "http://127.0.0.1:9", "access_key_id": "k", "secret_access_key": "s", "region": "r"}
    with pytest.raises(StoreUnavailableError, match="s3://away"):
        await open_objects("s3://away", options=options).get(KEY)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match="cannot be made"):
        open_objects(str(tmp_path / "file" / "folder"))


@pytest.mark.parametrize(
    ("url", "options", "complaint"),
    [("gs://bucket", {}, "is no object store"), ("s3://bucket", {"colour": "red"}, "`colour` is no option")],
)
def test_settings_that_make_no_sense_are_refused(url: str, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        open_objects(url, options=options)
