import pytest
import redis.asyncio

from flowray.errors import InvalidRequestError, NotFoundError
from flowray.stores.key_records import ObjectKeyRecords
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.redis_key_uses import RedisKeyUseRecords
from flowray.tenancy.key_record import KeyRecords, MemoryKeyRecords
from flowray.tenancy.key_uses import KeyUses, MemoryKeyUseRecords
from flowray.tenancy.keyring import Keyring
from flowray.tenancy.keys import digest_of
from flowray.tenancy.news import MemoryNews, News
from flowray.tenancy.principal import Principal
from tests.contract.overtaken import Overtaken
from tests.contract.replicas import Heard

ACME, OTHER = "acme", "other"


NOW = 1_000.0


@pytest.fixture(params=["memory", "objects"])
def records(request: pytest.FixtureRequest) -> KeyRecords:
    return MemoryKeyRecords() if request.param == "memory" else ObjectKeyRecords(open_objects("memory:"))


@pytest.fixture
def now() -> list[float]:
    return [NOW]


@pytest.fixture
def keyring(records: KeyRecords, now: list[float]) -> Keyring:
    return Keyring(records, MemoryNews(), clock=lambda: now[0])


async def test_a_key_is_known_again(keyring: Keyring) -> None:
    issued = await keyring.issue(ACME, name="laptop", roles=["runner"])
    caller = await keyring.caller(digest_of(issued.key))
    assert caller == Principal(tenant=ACME, roles=frozenset({"runner"}), key="laptop", key_id=issued.record.id)


@pytest.mark.parametrize("key_digest", [digest_of("fr-guess"), "", "..", "../tenants/acme/keys/x"])
async def test_an_unknown_key_is_nobodys(keyring: Keyring, key_digest: str) -> None:
    await keyring.issue(ACME)
    assert await keyring.caller(key_digest) is None


async def test_keys_are_told_apart(keyring: Keyring) -> None:
    keys = [await keyring.issue(ACME), await keyring.issue(ACME), await keyring.issue(OTHER)]
    callers = [await keyring.caller(digest_of(issued.key)) for issued in keys]
    assert [(caller.tenant, caller.key_id) for caller in callers if caller] == [
        (issued.record.tenant, issued.record.id) for issued in keys
    ]


async def test_a_revoked_key_works_no_longer(keyring: Keyring) -> None:
    issued, kept = await keyring.issue(ACME), await keyring.issue(ACME)
    assert await keyring.caller(digest_of(issued.key)) is not None
    await keyring.revoke(ACME, issued.record.id)
    assert await keyring.caller(digest_of(issued.key)) is None
    assert await keyring.caller(digest_of(kept.key)) is not None
    with pytest.raises(NotFoundError):
        await keyring.revoke(ACME, issued.record.id)


async def test_a_key_that_one_replica_revokes_works_on_no_other(
    records: KeyRecords, replicas: tuple[News, News]
) -> None:
    here, there = (Keyring(records, news) for news in replicas)
    issued = await here.issue(ACME)
    assert await there.caller(digest_of(issued.key)) is not None
    heard = Heard(replicas[1], "key")

    await here.revoke(ACME, issued.record.id)

    await heard.of(issued.record.digest)
    assert await there.caller(digest_of(issued.key)) is None


@pytest.mark.parametrize("read", [1, 2], ids=["looked up", "changed"])
async def test_a_key_that_is_revoked_while_it_is_settled_stays_revoked(objects: ObjectStore, read: int) -> None:
    there = Keyring(ObjectKeyRecords(objects), MemoryNews())
    issued = await there.issue(ACME)
    overtaken = Overtaken(objects, lambda: there.revoke(ACME, issued.record.id), reads=[read])
    with pytest.raises(NotFoundError):
        await Keyring(ObjectKeyRecords(overtaken), MemoryNews()).settle(ACME, issued.record.id, {"roles": ["runner"]})
    assert await there.caller(digest_of(issued.key)) is None
    assert await there.list(ACME) == []


@pytest.mark.parametrize("read", [1, 2], ids=["looked up", "changed"])
async def test_a_key_that_is_revoked_while_it_is_rotated_has_no_time_left(objects: ObjectStore, read: int) -> None:
    there = Keyring(ObjectKeyRecords(objects), MemoryNews())
    old = await there.issue(ACME)
    overtaken = Overtaken(objects, lambda: there.revoke(ACME, old.record.id), reads=[read])
    new = await Keyring(ObjectKeyRecords(overtaken), MemoryNews()).rotate(ACME, old.record.id, grace_s=60)
    assert await there.caller(digest_of(old.key)) is None
    assert await there.list(ACME) == [new.record]


async def test_two_changes_of_a_key_at_once_both_hold(objects: ObjectStore) -> None:
    there = Keyring(ObjectKeyRecords(objects), MemoryNews())
    issued = await there.issue(ACME)
    overtaken = Overtaken(objects, lambda: there.settle(ACME, issued.record.id, {"roles": ["viewer"]}))
    here = Keyring(ObjectKeyRecords(overtaken), MemoryNews(), clock=lambda: NOW)
    settled = await here.settle(ACME, issued.record.id, {"expires_at": NOW + 10})
    assert (settled.roles, settled.expires_at) == (("viewer",), NOW + 10)


async def test_a_key_whose_revocation_was_cut_short_can_be_revoked(objects: ObjectStore) -> None:
    keyring = Keyring(ObjectKeyRecords(objects), MemoryNews())
    issued = await keyring.issue(ACME)
    await objects.delete(f"keys/{issued.record.digest}")

    await keyring.settle(ACME, issued.record.id, {"roles": ["runner"]})
    assert await keyring.caller(digest_of(issued.key)) is None

    await keyring.revoke(ACME, issued.record.id)
    assert await keyring.list(ACME) == []


async def test_nobody_revokes_or_rotates_another_tenants_key(keyring: Keyring) -> None:
    issued = await keyring.issue(ACME)
    with pytest.raises(NotFoundError):
        await keyring.revoke(OTHER, issued.record.id)
    with pytest.raises(NotFoundError):
        await keyring.rotate(OTHER, issued.record.id)
    assert await keyring.caller(digest_of(issued.key)) is not None


async def test_all_keys_of_a_tenant_are_revoked_and_no_others(keyring: Keyring) -> None:
    mine, theirs = [await keyring.issue(ACME), await keyring.issue(ACME)], await keyring.issue(OTHER)
    assert await keyring.revoke_all(ACME) == 2
    assert [await keyring.caller(digest_of(issued.key)) for issued in mine] == [None, None]
    assert await keyring.caller(digest_of(theirs.key)) is not None


async def test_a_key_ends_when_it_was_said_to(keyring: Keyring, now: list[float]) -> None:
    issued = await keyring.issue(ACME, expires_at=NOW + 10)
    now[0] = NOW + 9.9
    assert await keyring.caller(digest_of(issued.key)) is not None
    now[0] = NOW + 10
    assert await keyring.caller(digest_of(issued.key)) is None


async def test_a_key_that_has_ended_already_is_not_issued(keyring: Keyring) -> None:
    with pytest.raises(InvalidRequestError, match="past"):
        await keyring.issue(ACME, expires_at=NOW)


async def test_a_rotated_key_is_replaced_by_one_that_may_the_same(keyring: Keyring) -> None:
    old = await keyring.issue(ACME, name="ci", roles=["runner"], expires_at=NOW + 100)
    new = await keyring.rotate(ACME, old.record.id, by="ada")
    assert await keyring.caller(digest_of(old.key)) is None
    assert await keyring.caller(digest_of(new.key)) is not None
    assert (new.record.name, new.record.roles, new.record.expires_at) == ("ci", ("runner",), NOW + 100)
    assert (new.record.created_by, new.record.id != old.record.id) == ("ada", True)


async def test_a_rotated_key_may_have_time_to_be_replaced(keyring: Keyring, now: list[float]) -> None:
    old = await keyring.issue(ACME)
    assert await keyring.caller(digest_of(old.key)) is not None
    await keyring.rotate(ACME, old.record.id, grace_s=60)
    assert await keyring.caller(digest_of(old.key)) is not None
    now[0] = NOW + 60
    assert await keyring.caller(digest_of(old.key)) is None


async def test_a_list_shows_keys_without_saying_them(keyring: Keyring, now: list[float]) -> None:
    first = await keyring.issue(ACME, name="first")
    now[0] += 1
    second = await keyring.issue(ACME, name="second", roles=["editor", "runner"])
    await keyring.issue(OTHER)
    listed = await keyring.list(ACME)
    assert [(one.name, one.roles, one.created_at) for one in listed] == [
        ("first", ("admin",), NOW),
        ("second", ("editor", "runner"), NOW + 1),
    ]
    assert [one.prefix for one in listed] == [first.key[:8], second.key[:8]]
    assert first.key not in str(listed)
    assert second.key not in str(listed)


async def test_a_key_itself_is_never_kept(objects: ObjectStore) -> None:
    issued = await Keyring(ObjectKeyRecords(objects), MemoryNews()).issue(ACME)
    kept = [one.key.encode() + await objects.get(one.key) async for one in objects.list("")]
    assert len(kept) == 2
    assert not any(issued.key[8:].encode() in one for one in kept)


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "A", "a b", "-a", "a-", "a:b", "ä", "x" * 64])
async def test_what_cannot_be_a_tenant_gets_no_key(keyring: Keyring, tenant: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be a tenant"):
        await keyring.issue(tenant)


@pytest.mark.parametrize("roles", [[], ["king"], ["admin", "king"]])
async def test_only_roles_that_exist_are_given(keyring: Keyring, roles: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="is no role"):
        await keyring.issue(ACME, roles=roles)  # type: ignore[arg-type]  # the point of it


@pytest.fixture(params=["memory", "redis"])
def uses(request: pytest.FixtureRequest, valkey: redis.asyncio.Redis, now: list[float]) -> KeyUses:
    records = MemoryKeyUseRecords() if request.param == "memory" else RedisKeyUseRecords(valkey)
    return KeyUses(records, clock=lambda: now[0])


async def test_uses_of_a_key_are_counted_and_the_last_one_is_known(uses: KeyUses, now: list[float]) -> None:
    uses.note(ACME, "one")
    uses.note(ACME, "two")
    await uses.write()
    now[0] += 5
    uses.note(ACME, "one")
    assert await uses.of(ACME) == {"one": (2, NOW + 5), "two": (1, NOW)}
    assert await uses.of(OTHER) == {}
