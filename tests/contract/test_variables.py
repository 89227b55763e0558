from __future__ import annotations

from typing import Any

import pytest

from flowray.errors import InvalidRequestError, NotFoundError, OvertakenError, StoreUnavailableError
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.variable_records import ObjectVariableRecords
from flowray.tenancy.news import MemoryNews, News
from flowray.tenancy.sealing import MasterKeys, Sealer, SealError, new_master_key
from flowray.tenancy.variable_record import MemoryVariableRecords, VariableRecords
from flowray.tenancy.variables import VariableExistsError, Variables
from tests.contract.overtaken import Overtaken

ACME, OTHER = "acme", "other"
OLD, NEW = new_master_key("old"), new_master_key("new")


def variables_over(records: VariableRecords, *keys: str, news: News | None = None) -> Variables:
    return Variables(records, Sealer(MasterKeys.of(",".join(keys or (OLD,)))), news or MemoryNews())


@pytest.fixture(params=["memory", "objects"])
def records(request: pytest.FixtureRequest) -> VariableRecords:
    return MemoryVariableRecords() if request.param == "memory" else ObjectVariableRecords(open_objects("memory:"))


@pytest.fixture
def variables(records: VariableRecords) -> Variables:
    return variables_over(records)


async def test_a_run_gets_the_values_of_the_names_it_refers_to_and_no_others(variables: Variables) -> None:
    await variables.create(ACME, "A", "one")
    await variables.create(ACME, "B", "two")
    await variables.create(OTHER, "A", "theirs")
    assert await variables.values(ACME, {"A", "C"}) == {"A": "one"}
    assert await variables.values("nobody", {"A"}) == {}


async def test_names_are_anything_and_told_apart_by_every_character(variables: Variables) -> None:
    for name in ("My Key", "my key", "../x", "ключ", "a" * 256):
        await variables.create(ACME, name, name)
    assert await variables.values(ACME, {"../x", "ключ", "a" * 256}) == {
        name: name for name in ("../x", "ключ", "a" * 256)
    }


async def test_no_two_variables_of_a_tenant_have_the_same_name(variables: Variables) -> None:
    await variables.create(ACME, "A", "one")
    second = await variables.create(ACME, "B", "two")
    with pytest.raises(VariableExistsError):
        await variables.create(ACME, "A", "again")
    with pytest.raises(VariableExistsError):
        await variables.change(ACME, second.id, {"name": "A"})
    assert await variables.values(ACME, {"A", "B"}) == {"A": "one", "B": "two"}


async def test_what_is_changed_is_changed_and_the_rest_stays(variables: Variables) -> None:
    made = await variables.create(ACME, "A", "one", default_fields=["api_key"])
    await variables.change(ACME, made.id, {"value": "two"})
    renamed = await variables.change(ACME, made.id, {"name": "B"})
    assert (renamed.id, renamed.default_fields) == (made.id, ("api_key",))
    assert [one.name for one in await variables.list(ACME)] == ["B"]
    assert await variables.values(ACME, {"A", "B"}) == {"B": "two"}


async def test_a_credential_does_not_become_readable(variables: Variables) -> None:
    made = await variables.create(ACME, "A", "one")
    with pytest.raises(InvalidRequestError, match="credential"):
        await variables.change(ACME, made.id, {"type": "Generic"})
    assert (await variables.change(ACME, made.id, {"type": "Generic", "value": "public"})).type == "Generic"


async def test_a_removed_variable_is_gone_and_another_tenants_is_not_there(variables: Variables) -> None:
    made, theirs = await variables.create(ACME, "A", "one"), await variables.create(OTHER, "A", "theirs")
    for forbidden in (variables.remove(ACME, theirs.id), variables.change(ACME, theirs.id, {"value": "mine"})):
        with pytest.raises(NotFoundError):
            await forbidden
    await variables.remove(ACME, made.id)
    assert await variables.list(ACME) == []
    assert await variables.values(OTHER, {"A"}) == {"A": "theirs"}


async def test_a_change_is_known_to_the_other_replica(records: VariableRecords) -> None:
    news = MemoryNews()
    here, there = variables_over(records, news=news), variables_over(records, news=news)
    made = await here.create(ACME, "A", "one")
    assert await there.values(ACME, {"A"}) == {"A": "one"}
    await here.change(ACME, made.id, {"value": "two"})
    assert await there.values(ACME, {"A"}) == {"A": "two"}


async def test_a_new_master_key_takes_over_from_the_old_one(records: VariableRecords) -> None:
    await variables_over(records, OLD).create(ACME, "A", "one")
    both = variables_over(records, NEW, OLD)
    assert [await both.rewrap(ACME), await both.rewrap(ACME)] == [1, 0]
    assert await variables_over(records, NEW).values(ACME, {"A"}) == {"A": "one"}
    with pytest.raises(SealError):
        await variables_over(records, OLD).values(ACME, {"A"})


@pytest.fixture
async def shared(objects: ObjectStore) -> ObjectStore:
    """What two gateways go by."""
    await objects.put("first", b"a bucket comes to be when it is written to")
    return objects


async def test_a_change_beside_a_rotation_leaves_the_new_value(shared: ObjectStore) -> None:
    there = variables_over(ObjectVariableRecords(shared))
    made = await there.create(ACME, "A", "old")
    here = variables_over(
        ObjectVariableRecords(Overtaken(shared, lambda: there.change(ACME, made.id, {"value": "new"})))
    )

    changed = await here.change(ACME, made.id, {"default_fields": ["api_key"]})

    assert (changed.default_fields, here.value(ACME, changed)) == (("api_key",), "new")
    assert await variables_over(ObjectVariableRecords(shared)).values(ACME, {"A"}) == {"A": "new"}


async def test_a_change_goes_by_the_record_and_not_by_what_is_remembered(records: VariableRecords) -> None:
    here, there = variables_over(records), variables_over(records)
    made = await here.create(ACME, "A", "old")
    assert await here.values(ACME, {"A"}) == {"A": "old"}
    await there.change(ACME, made.id, {"name": "B", "value": "new"})

    await here.change(ACME, made.id, {"default_fields": ["api_key"]})

    assert await here.values(ACME, {"A", "B"}) == {"B": "new"}
    await there.remove(ACME, made.id)
    with pytest.raises(NotFoundError):
        await here.change(ACME, made.id, {"default_fields": []})
    assert await records.list(ACME) == []


@pytest.mark.parametrize("read", [1, 2], ids=["looked up", "changed"])
@pytest.mark.parametrize("change", [{"default_fields": ["api_key"]}, {"name": "B"}], ids=["in place", "renamed"])
async def test_a_variable_that_is_removed_while_it_is_changed_stays_removed(
    shared: ObjectStore, change: dict[str, Any], read: int
) -> None:
    there = variables_over(ObjectVariableRecords(shared))
    made = await there.create(ACME, "A", "old")
    overtaken = Overtaken(shared, lambda: there.remove(ACME, made.id), reads=[read])
    with pytest.raises(NotFoundError):
        await variables_over(ObjectVariableRecords(overtaken)).change(ACME, made.id, change)
    assert await there.list(ACME) == []


async def test_a_variable_that_is_renamed_while_it_is_removed_is_removed(shared: ObjectStore) -> None:
    there = variables_over(ObjectVariableRecords(shared))
    made = await there.create(ACME, "A", "old")
    overtaken = Overtaken(shared, lambda: there.change(ACME, made.id, {"name": "B"}))
    await variables_over(ObjectVariableRecords(overtaken)).remove(ACME, made.id)
    assert await ObjectVariableRecords(shared).list(ACME) == []


@pytest.mark.parametrize("read", [1, 2], ids=["looked up", "changed"])
async def test_who_renames_a_variable_beside_a_rotation_is_told_and_the_new_value_stays(
    shared: ObjectStore, read: int
) -> None:
    there = variables_over(ObjectVariableRecords(shared))
    made = await there.create(ACME, "A", "old")
    overtaken = Overtaken(shared, lambda: there.change(ACME, made.id, {"value": "new"}), reads=[read])
    with pytest.raises(OvertakenError, match="Try again"):
        await variables_over(ObjectVariableRecords(overtaken)).change(ACME, made.id, {"name": "B"})
    assert await there.values(ACME, {"A", "B"}) == {"A": "new"}


class Undeleting(ObjectStore):
    """Away when something is to be deleted."""

    async def delete(self, key: str) -> None:
        raise StoreUnavailableError(key)


async def test_a_variable_whose_renaming_was_cut_short_can_be_changed_and_removed(shared: ObjectStore) -> None:
    there = variables_over(ObjectVariableRecords(shared))
    made = await there.create(ACME, "A", "old")
    with pytest.raises(StoreUnavailableError):
        await variables_over(ObjectVariableRecords(Undeleting(shared._store, name="away"))).change(
            ACME, made.id, {"name": "B"}
        )

    await there.change(ACME, made.id, {"value": "new"})
    assert (await there.values(ACME, {"B"}))["B"] == "new"

    await there.remove(ACME, made.id)
    assert await there.list(ACME) == []


async def test_a_new_master_key_beside_a_rotation_leaves_the_new_value(shared: ObjectStore) -> None:
    there = variables_over(ObjectVariableRecords(shared), OLD)
    made = await there.create(ACME, "A", "old")
    overtaken = Overtaken(shared, lambda: there.change(ACME, made.id, {"value": "new"}))
    await variables_over(ObjectVariableRecords(overtaken), NEW, OLD).rewrap(ACME)
    assert await variables_over(ObjectVariableRecords(shared), NEW).values(ACME, {"A"}) == {"A": "new"}


async def test_a_value_is_nowhere_in_the_store(objects: ObjectStore) -> None:
    await objects.put("first", b"a bucket comes to be when it is written to")
    variables = variables_over(ObjectVariableRecords(objects))
    await variables.create(ACME, "A", "sk-very-secret", kind="Generic")
    kept = [await objects.get(one.key) async for one in objects.list("")]
    assert len(kept) == 2
    assert b"sk-very-secret" not in b"".join(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("A", ""), ("a" * 257, "x"), ("A", "x" * 65_537)],
    ids=["no", "nothing", "long", "big"],
)
async def test_what_cannot_be_a_variable_is_refused(variables: Variables, name: str, value: str) -> None:
    with pytest.raises(InvalidRequestError):
        await variables.create(ACME, name, value)
