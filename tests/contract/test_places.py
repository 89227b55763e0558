"""Whoever announces a place is found there until the announcement runs out; wherever the announcements are kept."""

from dataclasses import replace

import pytest

from flowray.stores.places import MemoryPlaces, Place, Places, RedisPlaces

HERE = Place(name="r1", pool="default", address="unix:/run/r1", capacity=4)
THERE = replace(HERE, name="r2", pool="gpu", address="tcp:10.0.0.2:7000")


@pytest.fixture(params=["memory", "redis"])
def places(request: pytest.FixtureRequest) -> Places:
    if request.param == "memory":
        return MemoryPlaces()
    return RedisPlaces(request.getfixturevalue("valkey"))


async def test_who_is_announced_is_found(places: Places) -> None:
    await places.announce(HERE, for_s=60)
    await places.announce(THERE, for_s=60)

    assert set(await places.all()) == {HERE, THERE}


async def test_nobody_is_found_where_nobody_announced(places: Places) -> None:
    assert list(await places.all()) == []


async def test_an_announcement_runs_out(places: Places) -> None:
    await places.announce(HERE, for_s=60)
    await places.announce(THERE, for_s=-1)

    assert list(await places.all()) == [HERE]


async def test_an_announcement_that_is_said_again_is_one(places: Places) -> None:
    await places.announce(HERE, for_s=-1)
    await places.announce(HERE, for_s=60)

    assert list(await places.all()) == [HERE]


async def test_who_withdraws_is_gone_and_may_withdraw_twice(places: Places) -> None:
    await places.announce(HERE, for_s=60)

    await places.withdraw(HERE)
    await places.withdraw(HERE)

    assert list(await places.all()) == []
