"""A Runner of a pool, built in its own process."""

from __future__ import annotations

import asyncio

import ray

from flowray.quotas.amounts import stretched
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.image import find_image
from flowray.sandbox.probe import require
from flowray.stores.places import Place, RedisPlaces
from flowray.stores.redis import connect
from flowray_serve.builds.log import keep_log, log_folder
from flowray_serve.builds.plant import Plant, objects_of
from flowray_serve.lanes.station import Station
from flowray_serve.parts.desks import runner_desk
from flowray_serve.parts.egress import connection_caps
from flowray_serve.parts.learning import learning_of
from flowray_serve.parts.sharing import step_limits


class Post:
    """A Runner at its station."""

    def __init__(self, runner: Runner, station: Station, work: asyncio.Task[None], *, drain_s: float) -> None:
        self.check = station.check
        self.extract = runner.extract
        self.examine = runner.examine
        self._station = station
        self._work = work
        self._drain_s = drain_s

    @property
    def running(self) -> int:
        """How many steps are running."""
        return self._station.running

    async def close(self) -> None:
        """Take nothing new, let what runs end, and leave."""
        await self._station.close(within_s=self._drain_s)
        self._work.cancel()
        await asyncio.wait([self._work])


async def build_post(plant: Plant, pool_name: str, name: str) -> Post:
    """Build a Runner of a pool and open it for engines, in its own process."""
    keep_log(plant, f"runner-{pool_name}-{name}")
    pool, redis, objects = plant.settings.pools[pool_name], connect(plant.redis_url), objects_of(plant)
    image = find_image(pool.image, plant.settings.images)
    await require(image, pool.lowered_walls)
    learning, passing_on = learning_of(image, redis)
    rules = Rules(
        size=PoolSize(
            spares=pool.spares,
            at_work=stretched(pool.max_running),
            zygote_s=pool.zygote_s,
            forks=pool.zygote_forks,
            headroom=pool.headroom,
        ),
        limits=step_limits(pool, plant.settings),
        egress=pool.egress,
        private=pool.private_hosts,
        connections=connection_caps(plant.settings.egress),
        desk=runner_desk(redis, objects, secret=plant.secret),
        lowered=pool.lowered_walls,
        tenant=pool.tenants[0] if pool.lowered_walls else None,
        learn=learning.note,
    )
    log = log_folder(plant) / f"zygote-{pool_name}-{name}.log"
    runner = Runner.on(image, objects=objects, name=name, rules=rules, preload=pool.preload, log=log)
    place = Place(name=name, pool=pool_name, address=_lane_address(plant, name), capacity=pool.max_running)
    station = Station(runner, place, places=RedisPlaces(redis), secret=plant.secret)
    await station.open()
    return Post(runner, station, passing_on, drain_s=rules.size.drain_s)


def _lane_address(plant: Plant, name: str) -> str:
    if plant.settings.ray.address is None:
        return f"unix:{plant.run / name}"
    return f"tls:{ray.util.get_node_ip_address()}:0"  # type: ignore[no-untyped-call]  # Ray
