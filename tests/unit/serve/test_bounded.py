"""A tenant keeps as many flows and as much in files as its quota allows."""

from __future__ import annotations

import asyncio

import pytest

from flowray.quotas.quota import Quota, Terms
from flowray.quotas.refusals import QuotaExceededError
from flowray.stores.drawer import Drawer
from flowray.stores.generations import MemoryGenerations
from flowray.stores.objects import open_objects
from flowray.stores.records import FlowRecord, UploadRecord
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray_serve.admission.bounded import BoundedDocuments
from flowray_serve.own_files import OwnFiles


def documents(**quota: int) -> BoundedDocuments:
    async def terms(_: str) -> Terms:
        return Terms(quota=Quota(**quota))

    return BoundedDocuments(open_objects("memory:"), MemoryGenerations(), terms)


def record(name: str) -> FlowRecord:
    return FlowRecord(id=name, version="v1", revision="r1", document={"name": name})


async def test_a_flow_too_many_is_refused_and_an_old_one_may_change() -> None:
    kept = documents(flows=1)
    await kept.save("t", record("f1"))

    await kept.save("t", record("f1"))
    with pytest.raises(QuotaExceededError, match="has 1 flow,"):
        await kept.save("t", record("f2"))

    assert [flow.id for flow in await kept.list("t")] == ["f1"]


async def test_of_many_at_once_no_more_are_kept_than_may_be() -> None:
    kept = documents(flows=3)

    await asyncio.gather(*(kept.save("t", record(f"f{number}")) for number in range(8)), return_exceptions=True)

    assert len(await kept.list("t")) <= 3


async def test_files_beyond_the_quota_are_refused_and_other_tenants_are_not() -> None:
    kept = documents(stored_mib=1)
    await kept.save_file("t", "f1/a.bin", bytes(700_000))

    with pytest.raises(QuotaExceededError, match="1 MiB"):
        await kept.save_file("t", "f1/b.bin", bytes(700_000))

    await kept.save_file("u", "f1/b.bin", bytes(700_000))
    assert await kept.find_file("t", "f1/b.bin") is None


async def test_an_own_file_that_is_refused_leaves_its_name_to_others() -> None:
    kept = documents(stored_mib=0)
    uploads = Drawer(open_objects("memory:"), "uploads", UploadRecord)

    with pytest.raises(QuotaExceededError):
        await OwnFiles(uploads, kept).keep("t", "a.txt", b"x")

    assert await kept.claim_file("t", f"{tenant_uuid('t', 'user')}/a.txt")


async def test_every_version_counts_against_what_may_be_stored() -> None:
    kept = documents(stored_mib=1)
    large = {"name": "f1", "data": "x" * 400_000}
    for version in ("v1", "v2"):
        await kept.save("t", FlowRecord(id="f1", version=version, revision=version, document=large))

    with pytest.raises(QuotaExceededError, match="1 MiB"):
        await kept.save("t", FlowRecord(id="f1", version="v3", revision="v3", document=large))
    with pytest.raises(QuotaExceededError, match="1 MiB"):
        await kept.versions.keep("t", "f1", "v4", large)

    assert [one.version for one in await kept.versions.all("t", "f1")] == ["v2", "v1"]
    await kept.versions.forget("t", "f1", (await kept.versions.all("t", "f1"))[1])
    await kept.versions.keep("t", "f1", "v4", large)
