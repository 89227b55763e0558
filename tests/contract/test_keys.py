import pytest

from flowray.errors import InvalidRequestError
from flowray.stores.key_records import ObjectKeyRecords
from flowray.stores.objects import ObjectStore, open_objects
from flowray.tenancy.keyring import KeyRecords, Keyring, MemoryKeyRecords
from flowray.tenancy.keys import digest_of
from flowray.tenancy.principal import Principal

ACME, OTHER = "acme", "other"


@pytest.fixture(params=["memory", "objects"])
def records(request: pytest.FixtureRequest) -> KeyRecords:
    return MemoryKeyRecords() if request.param == "memory" else ObjectKeyRecords(open_objects("memory:"))


@pytest.fixture
def keyring(records: KeyRecords) -> Keyring:
    return Keyring(records, clock=iter(range(1, 100)).__next__)


async def test_a_key_is_known_again(keyring: Keyring) -> None:
    key = await keyring.issue(ACME, name="laptop", roles=["runner"])
    assert await keyring.caller(digest_of(key)) == Principal(tenant=ACME, roles=frozenset({"runner"}), key="laptop")


@pytest.mark.parametrize("key_digest", [digest_of("fr-guess"), "", "..", "../tenants/acme/keys/x"])
async def test_an_unknown_key_is_nobodys(keyring: Keyring, key_digest: str) -> None:
    await keyring.issue(ACME)
    assert await keyring.caller(key_digest) is None


async def test_keys_are_told_apart(keyring: Keyring) -> None:
    keys = [await keyring.issue(ACME), await keyring.issue(ACME), await keyring.issue(OTHER)]
    callers = [await keyring.caller(digest_of(key)) for key in keys]
    assert [caller.tenant for caller in callers if caller] == [ACME, ACME, OTHER]


async def test_a_revoked_key_works_no_longer(keyring: Keyring) -> None:
    key, kept = await keyring.issue(ACME), await keyring.issue(ACME)
    await keyring.revoke(ACME, digest_of(key))
    await keyring.revoke(ACME, digest_of(key))
    assert await keyring.caller(digest_of(key)) is None
    assert await keyring.caller(digest_of(kept)) is not None


async def test_nobody_revokes_another_tenants_key(keyring: Keyring) -> None:
    key = await keyring.issue(ACME)
    await keyring.revoke(OTHER, digest_of(key))
    assert await keyring.caller(digest_of(key)) is not None


async def test_a_list_shows_keys_without_saying_them(keyring: Keyring) -> None:
    first = await keyring.issue(ACME, name="first")
    second = await keyring.issue(ACME, name="second", roles=["editor", "runner"])
    await keyring.issue(OTHER)
    listed = await keyring.list(ACME)
    assert [(one["name"], one["roles"], one["created_at"]) for one in listed] == [
        ("first", ["admin"], 1),
        ("second", ["editor", "runner"], 2),
    ]
    assert first not in str(listed)
    assert second not in str(listed)


async def test_a_key_itself_is_never_kept(objects: ObjectStore) -> None:
    key = await Keyring(ObjectKeyRecords(objects)).issue(ACME)
    kept = [one.key.encode() + await objects.get(one.key) async for one in objects.list("")]
    assert len(kept) == 2
    assert not any(key.removeprefix("fr-").encode() in one for one in kept)


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "A", "a b", "-a", "a-", "a:b", "ä", "x" * 64])
async def test_what_cannot_be_a_tenant_gets_no_key(keyring: Keyring, tenant: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be a tenant"):
        await keyring.issue(tenant)


@pytest.mark.parametrize("roles", [[], ["king"], ["admin", "king"]])
async def test_only_roles_that_exist_are_given(keyring: Keyring, roles: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="is no role"):
        await keyring.issue(ACME, roles=roles)  # type: ignore[arg-type]  # the point of it
