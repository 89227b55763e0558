from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flowray.component.known import known_components
from flowray.stores.objects import open_objects
from flowray_registry.actor import start_registry
from flowray_registry.entry import digest_of
from flowray_registry.reader import Reader, RegistryOnRay
from flowray_registry.snapshot import Snapshot
from tests.unit.registry.kit import frontend


async def extract(code: str, name: str) -> Mapping[str, Any]:
    return {"frontend": frontend(code), "imports": [], "name": name}


def reader(folder: Path) -> Reader:
    return Reader(RegistryOnRay(), Snapshot(open_objects(str(folder))), known=known_components(), extract=extract)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    import ray

    ray.init(num_cpus=1, include_dashboard=False, namespace="flowray", log_to_driver=False, logging_level=logging.ERROR)
    folder = tmp_path_factory.mktemp("record")
    yield start_registry(str(folder)), folder
    ray.shutdown()


async def test_what_one_process_registers_all_others_know(registry: tuple[Any, Path]) -> None:
    _, folder = registry
    spec = await reader(folder).register("x = 1", "Mine")
    assert (await reader(folder).specs([spec.digest]))[spec.digest] == spec


async def test_there_is_one_registry_however_often_it_is_started(registry: tuple[Any, Path]) -> None:
    handle, folder = registry
    assert start_registry(str(folder))._actor_id == handle._actor_id


async def test_lfx_s_own_components_are_on_record(registry: tuple[Any, Path]) -> None:
    _, folder = registry
    digest = next(iter(known_components()))
    assert any(version.digest == digest for version in await reader(folder).catalog())
    assert (await Snapshot(open_objects(str(folder))).read(digest)) is not None


async def test_a_registry_that_is_killed_comes_back_with_its_catalog(registry: tuple[Any, Path]) -> None:
    import ray

    handle, folder = registry
    await reader(folder).register("x = 2", "Mine")
    ray.kill(handle, no_restart=False)
    away = reader(folder)
    assert (await away.specs([digest_of("x = 2")])).keys() == {digest_of("x = 2")}
    async with asyncio.timeout(60):
        await away.register("x = 3", "Mine")
    seen = {version.digest for version in await RegistryOnRay().versions("Mine")}
    assert {digest_of("x = 2"), digest_of("x = 3")} <= seen
