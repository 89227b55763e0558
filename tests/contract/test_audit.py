from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from flowray.errors import StoreUnavailableError
from flowray.stores.audit_records import ObjectAuditRecords
from flowray.stores.objects import ObjectStore, open_objects
from flowray.tenancy.act import Act
from flowray.tenancy.audit import Audit, AuditRecords, AuditUnavailableError, MemoryAuditRecords
from flowray.tenancy.sealing import MasterKeys, Sealer, new_master_key

ACME, OTHER = "acme", "other"
KEY = new_master_key("m1")


def act(number: int, tenant: str = ACME) -> Act:
    return Act(at=float(number), tenant=tenant, who=f"{tenant}/ada", key="k", action="keys", route=f"POST /{number}")


def audit_over(records: AuditRecords, *, key: str = KEY, capacity: int = 100) -> Audit:
    return Audit(records, Sealer(MasterKeys.of(key)), capacity=capacity)


@pytest.fixture(params=["memory", "objects"])
def records(request: pytest.FixtureRequest) -> AuditRecords:
    return MemoryAuditRecords() if request.param == "memory" else ObjectAuditRecords(open_objects("memory:"))


async def routes(read: AsyncIterator[bytes]) -> Sequence[str]:
    import json

    return [json.loads(line)["route"] for line in [line async for line in read]]


async def test_acts_are_read_in_order_each_tenants_apart(records: AuditRecords) -> None:
    audit = audit_over(records)
    for number in range(1, 4):
        audit.note(act(number))
        audit.note(act(10 + number, OTHER))
        await audit.write()
    audit.note(act(4))
    assert await routes(audit.read(ACME)) == ["POST /1", "POST /2", "POST /3", "POST /4"]
    assert await routes(audit.read(ACME, after=2)) == ["POST /3", "POST /4"]
    assert await routes(audit.read(OTHER)) == ["POST /11", "POST /12", "POST /13"]
    assert await routes(audit.read("nobody")) == []
    assert [await audit.verify(chain) for chain in (ACME, OTHER, "nobody")] == [[], [], []]


async def test_gateways_that_write_at_the_same_time_make_one_chain(records: AuditRecords) -> None:
    gateways = [audit_over(records) for _ in range(4)]
    for number in range(5):
        for index, audit in enumerate(gateways):
            audit.note(act(10 * index + number))
        await asyncio.gather(*(audit.write() for audit in gateways))
    assert len(await routes(gateways[0].read(ACME))) == 20
    assert await gateways[1].verify(ACME) == []


async def test_a_chain_goes_on_after_a_restart(records: AuditRecords) -> None:
    before = audit_over(records)
    before.note(act(1))
    await before.write()
    after = audit_over(records)
    after.note(act(2))
    assert await routes(after.read(ACME)) == ["POST /1", "POST /2"]
    assert await after.verify(ACME) == []


class Away(MemoryAuditRecords):
    is_away = True

    async def append(self, chain: str, first: int, lines: Sequence[bytes]) -> bool:
        if self.is_away:
            raise StoreUnavailableError("away")
        return await super().append(chain, first, lines)


async def test_what_the_store_refuses_stays_noted_and_at_some_point_nothing_more_is_done() -> None:
    records = Away()
    audit = audit_over(records, capacity=2)
    for number in (1, 2):
        audit.require_room()
        audit.note(act(number))
    with pytest.raises(StoreUnavailableError):
        await audit.write()
    with pytest.raises(AuditUnavailableError):
        audit.require_room()

    records.is_away = False
    await audit.write()

    audit.require_room()
    assert await routes(audit.read(ACME)) == ["POST /1", "POST /2"]


async def test_a_record_that_somebody_changes_or_takes_out_of_the_store_is_found(objects: ObjectStore) -> None:
    await objects.put("first", b"a bucket comes to be when it is written to")
    audit = audit_over(ObjectAuditRecords(objects))
    for number in (1, 2, 3):
        audit.note(act(number))
        await audit.write()
    keys = sorted([one.key async for one in objects.list("tenants/acme/audit")])
    second = await objects.get(keys[1])

    await objects.put(keys[1], second.replace(b"ada", b"eve"))
    assert await audit.verify(ACME) == ["Record 2 was changed."]

    await objects.delete(keys[1])
    assert await audit.verify(ACME) == ["Record 2 is missing."]

    await objects.put(keys[1], second)
    await objects.delete(keys[2])
    assert await audit.verify(ACME) == ["The chain ends at record 2; it has reached 3."]


async def test_a_chain_that_is_made_anew_by_who_has_the_store_but_no_key_is_found(records: AuditRecords) -> None:
    forger = audit_over(records, key=new_master_key("m1"))
    forger.note(act(1))
    await forger.write()
    assert await audit_over(records).verify(ACME) == ["The mark over the chain's end was not made by this service."]
