"""The composition root: from settings to everything that a service is made of. Nothing below it reads settings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

from ray.serve import Application

from flowray.errors import SettingsError
from flowray_registry.actor import start_registry, stop_registry
from flowray_serve.builds.front import build_front
from flowray_serve.builds.plant import Plant, objects_of
from flowray_serve.builds.post import build_post
from flowray_serve.builds.works import build_works
from flowray_serve.cluster.head import leave
from flowray_serve.deployments.deploy import (
    APPLICATION,
    EngineShape,
    GatewayShape,
    RunnerShape,
    deploy,
    engines,
    gateway,
    runner_pool,
)
from flowray_serve.home import Home
from flowray_serve.parts.identity import first_key as make_first_key
from flowray_serve.parts.identity import first_tenant as make_first_tenant
from flowray_serve.parts.learning import pool_images
from flowray_serve.parts.packages import stocks_of
from flowray_serve.parts.secrets import master_keys
from flowray_serve.parts.sharing import open_ledger
from flowray_serve.running_settings import PoolSettings
from flowray_serve.settings import Settings

_DRAIN_MARGIN_S = 5.0


def plant_of(settings: Settings, home: Home, redis_url: str | None) -> Plant:
    """Return what the settings say; what they leave open is an embedded Valkey at `redis_url` and a folder."""
    if settings.redis.url is not None:
        redis_url = settings.redis.url.get_secret_value()
    if settings.ray.address is not None and (settings.redis.url is None or settings.objects.url is None):
        raise SettingsError(
            "The nodes of another cluster cannot reach stores that are embedded here: "
            "set FLOWRAY_REDIS__URL and FLOWRAY_OBJECTS__URL."
        )
    if redis_url is None:
        raise SettingsError("Name a Redis or Valkey: FLOWRAY_REDIS__URL=redis://HOST:PORT/0")
    objects_url = settings.objects.url or str(home.path / "objects")
    if "://" not in objects_url:
        objects_url = str(Path(objects_url).expanduser().absolute())
    return Plant(
        settings=settings,
        redis_url=redis_url,
        objects_url=objects_url,
        secret=bytes.fromhex(home.secret()),
        master_keys=master_keys(settings, home),
        run=home.run,
        logs=home.logs,
    )


def first_key(plant: Plant, home: Home) -> str:
    """Return the key of the tenant `default`; the first start makes it."""
    objects = objects_of(plant)
    asyncio.run(make_first_tenant(objects))
    key = home.key()
    if key is None:
        key = asyncio.run(make_first_key(objects))
        home.keep_key(key)
    return key


def deploy_plant(plant: Plant) -> None:
    """Deploy the service on the Ray this process is connected to, and wait until all of it runs."""
    settings = plant.settings
    # Raises here, where somebody reads it, and not in a replica.
    plant = replace(plant, stocks=stocks_of(settings), pool_images=pool_images(settings))
    start_registry(plant.objects_url, settings.objects.options)
    asyncio.run(open_ledger(plant.redis_url, settings))
    runners = {name: _pool(plant, name, pool) for name, pool in settings.pools.items()}
    shape = GatewayShape(
        replicas=settings.gateway.replicas,
        max_ongoing=settings.gateway.max_ongoing,
        max_queued=settings.gateway.max_queued,
        drain_s=settings.gateway.sync_s + _DRAIN_MARGIN_S,  # a rolling update fails no synchronous run
    )
    engine = engines(_engine_shape(settings), partial(build_works, plant))
    deploy(gateway(shape, partial(build_front, plant), runners, engine), host=settings.host, port=settings.port)


def withdraw_plant() -> None:
    """Take the service off a cluster that others look after."""
    stop_registry()
    leave(APPLICATION)


def _engine_shape(settings: Settings) -> EngineShape:
    shape = settings.engines
    return EngineShape(
        replicas=shape.replicas,
        most_replicas=shape.most_replicas,
        standby=shape.standby,
        runs=shape.runs,
        oldest_s=shape.oldest_s,
        drain_s=shape.drain_s,
    )


def _pool(plant: Plant, name: str, pool: PoolSettings) -> Application:
    shape = RunnerShape(
        replicas=pool.replicas,
        most_replicas=pool.most_replicas or pool.replicas,
        standby=pool.kept_warm,
        capacity=pool.max_running,
        cpu=pool.cpu,
        memory_mib=pool.memory_mib,
        gpu=pool.gpu,
        labels=pool.labels,
    )
    return runner_pool(name, shape, partial(build_post, plant, name))
