"""A gateway, built in its own process."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.types import ASGIApp

from flowray.component.check import check
from flowray.component.known import known_components
from flowray.lasting import lasting
from flowray.plan.packages import missing_packages
from flowray.stores.archive import Archive
from flowray.stores.archiver import Archiver
from flowray.stores.drawer import Drawer
from flowray.stores.generations import RedisGenerations
from flowray.stores.places import RedisPlaces
from flowray.stores.records import ProjectRecord, UploadRecord
from flowray.stores.redis import connect
from flowray.stores.redis_journal import RedisJournal
from flowray.stores.redis_runs import RedisRuns
from flowray.stores.tenant_data import TenantData
from flowray.tenancy.sealing import Sealer
from flowray_registry.reader import Reader, RegistryOnRay
from flowray_registry.snapshot import Snapshot
from flowray_serve.admission.bounded import BoundedDocuments
from flowray_serve.builds.log import keep_log
from flowray_serve.builds.plant import Plant, images_of, objects_of, planned
from flowray_serve.builds.runs import run_service
from flowray_serve.child_runs import ChildRuns
from flowray_serve.lanes.steps import LaneSteps
from flowray_serve.library import Library
from flowray_serve.own_files import OwnFiles
from flowray_serve.parts.desks import chats_in, engine_desk, saving_chats
from flowray_serve.parts.exposing import exposition
from flowray_serve.parts.identity import build_identity
from flowray_serve.parts.learning import preloading_of
from flowray_serve.parts.observing import Observing
from flowray_serve.parts.operator_door import head_limits, operator_door
from flowray_serve.parts.packages import extract_where_it_loads, pools_of
from flowray_serve.parts.queueing import (
    build_gateway_queue,
    build_queueing,
    gateway_engine,
)
from flowray_serve.parts.remembering import remembering
from flowray_serve.parts.sharing import USAGE, build_sharing
from flowray_serve.projects import Projects
from flowray_serve.publishing import Publisher
from flowray_serve.queueing.forsaken import say_alive
from flowray_serve.queueing.refilling import Refilling
from flowray_serve.routes.application import build_app
from flowray_serve.services import BodyLimits, Services
from flowray_serve.settings import Settings

_MIB = 1024 * 1024
# Whoever drove a run has it on record sooner than this, or is gone.
_LEFT_S = 15.0


class Front:
    """A gateway's inside: the routes, the engine, and the lanes to the Runners."""

    def __init__(
        self,
        app: ASGIApp,
        closing: Sequence[Callable[[], Awaitable[None]]],
        archiving: Sequence[asyncio.Task[None]],
    ) -> None:
        self.app = app
        self._closing = closing
        self._archiving = archiving

    async def close(self) -> None:
        """End runs and connections, in the order in which the parts stand on each other."""
        for close in self._closing:
            await close()
        for work in self._archiving:
            work.cancel()
        await asyncio.wait(self._archiving)


async def build_front(plant: Plant, name: str, runners: Mapping[str, Any]) -> Front:
    """Build a gateway, in its own process."""
    keep_log(plant, f"gateway-{name}")
    redis, objects = connect(plant.redis_url), objects_of(plant)
    archive = Archive(objects)
    journal = RedisJournal(redis, archive)
    identity = build_identity(redis, objects, Sealer(plant.master_keys), plant.settings)
    observing, version = Observing(redis, plant.settings.traces), importlib.metadata.version("flowray")
    sharing = build_sharing(redis, objects, plant.settings, identity.tenants, observing, name=f"gateway-{name}")
    flows = BoundedDocuments(objects, RedisGenerations(redis), sharing.settled.terms)
    uploads = Drawer(objects, "uploads", UploadRecord)
    children = ChildRuns(flows, deepest=plant.settings.subflows.depth)
    steps = LaneSteps(RedisPlaces(redis), secret=plant.secret, answers=engine_desk(children, OwnFiles(uploads, flows)))
    await steps.start()
    shared = _for_all(plant.settings, runners)
    any_pool = next(iter(shared.values()))
    pools = pools_of(plant.settings, plant.stocks)
    extract = extract_where_it_loads(shared, pools)
    registry = Reader(RegistryOnRay(), Snapshot(objects), known=known_components(), extract=extract)
    planner = partial(planned, pools)
    library = Library(store=flows, registry=registry, planner=planner, checker=check)
    observing.open(library)
    remembered = remembering(steps, redis, objects, secret=plant.secret)
    queueing = build_queueing(redis, journal, sharing, objects, secret=plant.secret)
    engine = gateway_engine(journal, sharing.admitted(remembered), plant.settings, ends=queueing.ends, name=name)
    runs = run_service(plant, identity, sharing, queueing, engine=engine, library=library)
    children.open(runs)
    queue = build_gateway_queue(queueing, runs, engine, journal, objects, sharing=sharing)
    services = Services(
        authenticator=identity.authenticator,
        gate=identity.gate,
        audit=identity.audit,
        tenants=identity.tenants,
        tenant_data=TenantData(objects, redis),
        keys=identity.keys,
        variables=identity.variables,
        store=flows,
        library=library,
        publisher=Publisher(
            store=flows,
            registry=registry,
            planner=planner,
            checker=check,
            missing_packages=partial(missing_packages, pools),
            images_of=partial(images_of, pools),
        ),
        runs=runs,
        jobs=queue.jobs,
        journal=journal,
        run_index=RedisRuns(redis, archive),
        projects=Projects(drawer=Drawer(objects, "projects", ProjectRecord), store=flows),
        uploads=uploads,
        examine=any_pool.examine.remote,
        chats=chats_in(redis, objects),
        shares=sharing.shares,
        limiter=sharing.limiter,
        may_run=sharing.runs.check,
        preloading=preloading_of(plant.pool_images, redis),
        limits=_body_limits(plant.settings),
        head_limits=head_limits(plant.settings.bodies),
        version=version,
        meter=observing.meter,
        exposition=exposition(observing.totals, sharing, queueing.queue, redis, version=version),
    )
    archiver = Archiver(redis, sharing.archive(objects), after=queueing.upkeep.endings, left_s=_LEFT_S)
    usage = sharing.usage(objects, queueing.upkeep.marks)
    counting = Refilling(queueing.upkeep.marks, USAGE, usage.rebuild, name=name)
    archiving = [
        lasting(queueing.ends.work, name="record ends"),
        lasting(archiver.work, name="archive journals"),
        saving_chats(redis, objects),
        lasting(partial(say_alive, queueing.upkeep.open_runs, name), name="say that this gateway lives"),
        lasting(partial(sharing.keep_usage, usage), name="keep usage"),
        lasting(counting.work, name="count usage again"),
    ]
    closing = (queue.close, runs.close, steps.close, sharing.close, observing.close, identity.close)
    gateway = plant.settings.gateway
    app = build_app(services, for_operators=gateway.operator_port is None, origins=gateway.cors_origins)
    archiving += operator_door(plant.settings, services)
    return Front(app, closing, archiving)


def _for_all(settings: Settings, runners: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the pools that load components for whoever publishes: those that are not some tenants' own, if any."""
    return {name: runners[name] for name, pool in settings.pools.items() if not pool.owners} or runners


def _body_limits(settings: Settings) -> BodyLimits:
    bodies = settings.bodies
    return BodyLimits(
        run_bytes=bodies.run_mib * _MIB, flow_bytes=bodies.flow_mib * _MIB, file_bytes=bodies.file_mib * _MIB
    )
