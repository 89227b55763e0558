from __future__ import annotations

import asyncio

import orjson
import pytest

from flowray.engine.failures import ComponentFailedError, StepTimeoutError
from flowray_registry import catalog as catalogs
from flowray_registry import entry as entries
from flowray_registry.catalog import Catalog
from flowray_registry.entry import broken, digest_of, extracted
from flowray_registry.reader import RegistryUnavailableError
from tests.unit.registry.kit import House, Writer, frontend, shipped_by_lfx


def test_an_entry_survives_its_document() -> None:
    made = extracted("x = 1", "Mine", {"frontend": frontend("another source"), "imports": ["httpx"]}, at=1.0)
    again = entries.decode(entries.encode(made))
    assert again == made
    assert (again.spec.name, again.spec.imports, again.spec.problem) == ("Mine", ("httpx",), None)
    assert again.spec.frontend["template"]["code"]["value"] == "x = 1"


def test_a_description_that_is_too_large_is_a_problem_and_not_kept() -> None:
    entry = extracted("x = 1", "Mine", {"frontend": frontend("x = 1", icon="x" * entries.MOST_BYTES)}, at=1.0)
    assert entry.spec.problem == "Its description is missing or too large."


def test_versions_of_a_name_come_in_the_order_they_were_seen() -> None:
    second, first = (broken(code, "Mine", "no", at=at) for code, at in (("b", 2.0), ("a", 1.0)))
    catalog = Catalog().with_([second, first, broken("c", "Other", "no", at=3.0)])
    assert [version.digest for version in catalog.versions("Mine")] == [first.spec.digest, second.spec.digest]
    assert catalogs.decode(catalogs.encode(catalog)) == catalog


async def test_a_component_seen_first_is_loaded_once_however_many_ask() -> None:
    house = House()
    reader = house.reader(Writer(await house.registry()))
    specs = await asyncio.gather(*(reader.register("x = 1", "Mine") for _ in range(5)))
    assert house.sandbox.asked == ["x = 1"]
    assert {spec.digest for spec in specs} == {digest_of("x = 1")}
    assert specs[0].outputs[0].name == "out"
    assert (await reader.register("x = 1", "Mine")) == specs[0]


async def test_every_version_stays_resolvable_after_a_restart() -> None:
    house = House()
    reader = house.reader(Writer(await house.registry()))
    for code in ("x = 1", "x = 2"):
        await reader.register(code, "Mine")
    again = house.reader(Writer(await house.registry()))
    assert [version.digest for version in await again.versions("Mine")] == [digest_of("x = 1"), digest_of("x = 2")]
    assert (await again.specs([digest_of("x = 1")])).keys() == {digest_of("x = 1")}


async def test_a_version_that_the_list_missed_is_found_again() -> None:
    house = House()
    registry = await house.registry()
    await registry.add(broken("x = 1", "Mine", "no", at=1.0))
    house.records.stored["registry/catalog.json"] = b"[]"
    assert [version.name for version in await (await house.registry()).catalog()] == ["Mine"]


async def test_what_another_lfx_shipped_stays_known() -> None:
    house = House(known=shipped_by_lfx("old = 1"))
    await house.registry()
    later = House(records=house.records, known=shipped_by_lfx("new = 1"))
    reader = later.reader(Writer(await later.registry()))
    found = await reader.specs([digest_of("old = 1"), digest_of("new = 1"), digest_of("never seen")])
    assert {spec.origin for spec in found.values()} == {"lfx"}
    assert found.keys() == {digest_of("old = 1"), digest_of("new = 1")}


async def test_a_second_start_writes_nothing_again() -> None:
    house = House(known=shipped_by_lfx("a = 1", "b = 1"))
    await house.registry()
    before = house.records.writes
    await house.registry()
    assert (before, house.records.writes) == (3, 3)


async def test_while_the_registry_is_away_the_record_answers() -> None:
    house = House()
    writer = Writer(await house.registry())
    await house.reader(writer).register("x = 1", "Mine")
    writer.away = True
    fresh = house.reader(writer)
    assert (await fresh.specs([digest_of("x = 1")]))[digest_of("x = 1")].name == "Mine"
    assert [version.name for version in await fresh.versions("Mine")] == ["Mine"]
    assert len(await fresh.catalog()) == 1
    with pytest.raises(RegistryUnavailableError):
        await fresh.register("x = 2", "Mine")


async def test_what_is_known_is_asked_for_once() -> None:
    house = House(known=shipped_by_lfx("a = 1"))
    writer = Writer(await house.registry())
    reader = house.reader(writer)
    await reader.register("x = 1", "Mine")
    before = writer.calls
    for _ in range(3):
        assert len(await reader.specs([digest_of("x = 1"), digest_of("a = 1")])) == 2
    assert writer.calls == before


async def test_a_component_that_cannot_be_loaded_is_known_as_broken_and_tried_again() -> None:
    house = House()
    reader = house.reader(Writer(await house.registry()))
    house.sandbox.answer = ComponentFailedError("No module named 'nope'", "", {"error_type": "ModuleNotFoundError"})
    spec = await reader.register("import nope", "Mine")
    assert spec.problem == "ModuleNotFoundError: No module named 'nope'"
    house.sandbox.answer = None
    assert (await reader.register("import nope", "Mine")).problem is None
    assert (await reader.specs([spec.digest]))[spec.digest].problem is None
    assert [version.broken for version in await reader.versions("Mine")] == [False]


async def test_a_version_that_is_mended_while_it_is_read_stays_mended() -> None:
    house = House()
    await (await house.registry()).add(broken("x = 1", "Mine", "no", at=1.0))
    digest, registry = digest_of("x = 1"), await house.registry()

    house.records.held = asyncio.Event()
    reading = asyncio.create_task(registry.specs([digest]))
    await house.records.reads.wait()
    await registry.add(extracted("x = 1", "Mine", {"frontend": frontend("x = 1")}, at=2.0))
    house.records.held.set()
    await reading

    assert (await registry.specs([digest]))[digest].problem is None


async def test_a_version_that_this_release_cannot_read_is_known_as_broken() -> None:
    house = House()
    await house.reader(Writer(await house.registry())).register("x = 1", "Mine")
    (key,) = (key for key in house.records.stored if "components" in key)
    kept = orjson.loads(house.records.stored[key])
    kept["frontend"]["outputs"] = "none"
    house.records.stored = {key: orjson.dumps(kept)}

    again = await house.registry()

    assert [(one.name, one.broken) for one in await again.catalog()] == [("Mine", True)]
    spec = (await again.specs([digest_of("x = 1")]))[digest_of("x = 1")]
    assert "outputs" in str(spec.problem)


async def test_a_sandbox_that_did_not_answer_says_nothing_about_the_component() -> None:
    house = House()
    reader = house.reader(Writer(await house.registry()))
    house.sandbox.answer = StepTimeoutError("too slow")
    with pytest.raises(StepTimeoutError):
        await reader.register("while True: pass", "Mine")
    assert await reader.versions("Mine") == ()


async def test_who_gives_up_does_not_stop_the_others() -> None:
    house = House()
    reader = house.reader(Writer(await house.registry()))
    impatient = asyncio.create_task(reader.register("x = 1", "Mine"))
    patient = asyncio.create_task(reader.register("x = 1", "Mine"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).name == "Mine"


def test_documents_are_plain_json() -> None:
    document = orjson.loads(entries.encode(broken("x = 1", "Mine", "no", at=1.0)))
    assert document["source"] == "x = 1"
    assert document["frontend"] is None
