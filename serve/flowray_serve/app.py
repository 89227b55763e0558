"""The composition root: from settings to everything that a service is made of. Nothing below it reads settings."""

from __future__ import annotations

import asyncio
import importlib.metadata
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.serve import Application
from starlette.types import ASGIApp

from flowray.component.check import check
from flowray.component.known import known_components
from flowray.component.spec import ComponentSpec
from flowray.component.stock import Stock
from flowray.errors import RunnerUnavailableError, SettingsError
from flowray.flow.types import Flow, Json
from flowray.plan.packages import missing_packages
from flowray.plan.place import open_to
from flowray.plan.planner import plan
from flowray.plan.types import Plan, Pool
from flowray.quotas.amounts import stretched
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.image import find_image
from flowray.sandbox.probe import require
from flowray.stores.archive import Archive
from flowray.stores.archiver import Archiver
from flowray.stores.documents import Documents
from flowray.stores.drawer import Drawer
from flowray.stores.generations import RedisGenerations
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.places import Place, RedisPlaces
from flowray.stores.records import ProjectRecord, UploadRecord
from flowray.stores.redis import connect
from flowray.stores.redis_journal import RedisJournal
from flowray.stores.redis_runs import RedisRuns
from flowray.stores.tenant_data import TenantData
from flowray.tenancy.sealing import MasterKeys, Sealer
from flowray.tenancy.tenant import DEFAULT_TENANT
from flowray_registry.actor import start_registry, stop_registry
from flowray_registry.reader import Reader, RegistryOnRay
from flowray_registry.snapshot import Snapshot
from flowray_serve.admission.bounded import BoundedDocuments
from flowray_serve.admission.runs import AdmittedEngine
from flowray_serve.child_runs import ChildRuns
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
from flowray_serve.lanes.station import Station
from flowray_serve.lanes.steps import LaneSteps
from flowray_serve.library import Library
from flowray_serve.parts.desks import chats_in, runner_desk, saving_chats
from flowray_serve.parts.egress import connection_caps, egress_of
from flowray_serve.parts.identity import build_identity
from flowray_serve.parts.identity import first_key as make_first_key
from flowray_serve.parts.identity import first_tenant as make_first_tenant
from flowray_serve.parts.learning import learning_of, pool_images, preloading_of
from flowray_serve.parts.operator_door import head_limits, operator_door
from flowray_serve.parts.packages import extract_where_it_loads, pools_of, stocks_of
from flowray_serve.parts.queueing import (
    EngineWorks,
    build_driver,
    build_gateway_queue,
    build_queueing,
    gateway_engine,
)
from flowray_serve.parts.remembering import remembering
from flowray_serve.parts.secrets import master_keys
from flowray_serve.parts.sharing import build_sharing, open_ledger, step_limits
from flowray_serve.parts.upkeep import begin_upkeep, build_recovery
from flowray_serve.preloading import PoolImage
from flowray_serve.projects import Projects
from flowray_serve.publishing import Publisher
from flowray_serve.queueing.acceptance import Acceptance
from flowray_serve.queueing.keeping import Keeping
from flowray_serve.routes.application import build_app
from flowray_serve.run_service import RunService, TenantDefaults
from flowray_serve.services import BodyLimits, Services
from flowray_serve.settings import PoolSettings, Settings

_MIB = 1024 * 1024
_DRAIN_MARGIN_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Plant:
    """What the parts of one service are built from, wherever they are; it travels to their processes.

    `stocks` are what the pools' images have, `pool_images` which these are, once there are any.
    """

    settings: Settings
    redis_url: str
    objects_url: str
    secret: bytes = field(repr=False)
    master_keys: MasterKeys = field(repr=False)
    run: Path
    logs: Path
    stocks: Mapping[str, Stock] = field(default_factory=dict)
    pool_images: tuple[PoolImage, ...] = ()


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
    objects = _objects(plant)
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


async def build_front(plant: Plant, name: str, runners: Mapping[str, Any]) -> Front:
    """Build a gateway, in its own process."""
    redis, objects = connect(plant.redis_url), _objects(plant)
    archive = Archive(objects)
    journal = RedisJournal(redis, archive)
    children = ChildRuns(Documents(objects, RedisGenerations(redis)), deepest=plant.settings.subflows.depth)
    steps = LaneSteps(RedisPlaces(redis), secret=plant.secret, answers=children)
    await steps.start()
    identity = build_identity(redis, objects, Sealer(plant.master_keys), plant.settings)
    sharing = build_sharing(redis, plant.settings, identity.tenants, name=f"gateway-{name}")
    flows = BoundedDocuments(objects, RedisGenerations(redis), sharing.settled.terms)
    shared = _for_all(plant.settings, runners)
    any_pool = next(iter(shared.values()))
    pools = pools_of(plant.settings, plant.stocks)
    extract = extract_where_it_loads(shared, pools)
    registry = Reader(RegistryOnRay(), Snapshot(objects), known=known_components(), extract=extract)
    planner = partial(_planned, pools)
    library = Library(store=flows, registry=registry, planner=planner, checker=check)
    remembered = remembering(steps, redis, objects, secret=plant.secret)
    engine = gateway_engine(journal, sharing.admitted(remembered), plant.settings, name=name)
    queueing = build_queueing(redis, objects, journal, secret=plant.secret)
    runs = RunService(
        library=library,
        engine=AdmittedEngine(engine, sharing.runs),
        objects=objects,
        defaults=partial(_defaults, plant.settings),
        egress_of=egress_of(identity.tenants),
        variables=identity.variables,
        on_pause=queueing.answering.pause,
        on_end=Keeping(queueing.requests, rule=plant.settings.gateway.keep).over,
    )
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
        ),
        runs=runs,
        jobs=queue.jobs,
        journal=journal,
        run_index=RedisRuns(redis, archive),
        projects=Projects(drawer=Drawer(objects, "projects", ProjectRecord), store=flows),
        uploads=Drawer(objects, "uploads", UploadRecord),
        examine=any_pool.examine.remote,
        chats=chats_in(redis, objects),
        shares=sharing.shares,
        limiter=sharing.limiter,
        may_run=sharing.runs.check,
        preloading=preloading_of(plant.pool_images, redis),
        limits=_body_limits(plant.settings),
        head_limits=head_limits(plant.settings.bodies),
        version=importlib.metadata.version("flowray"),
    )
    archiver = Archiver(redis, sharing.archive(objects), after=queueing.upkeep.endings)
    archiving = [
        asyncio.create_task(archiver.work(), name="archive journals"),
        saving_chats(redis, objects),
        asyncio.create_task(sharing.keep_usage(objects), name="keep usage"),
    ]
    closing = (queue.close, runs.close, steps.close, sharing.close, identity.close)
    app = build_app(services, for_operators=plant.settings.gateway.operator_port is None)
    archiving += operator_door(plant.settings, services)
    return Front(app, closing, archiving)


async def build_works(plant: Plant, name: str) -> EngineWorks:
    """Build an engine that drives queued runs, in its own process."""
    redis, objects = connect(plant.redis_url), _objects(plant)
    flows = Documents(objects, RedisGenerations(redis))
    children = ChildRuns(flows, deepest=plant.settings.subflows.depth)
    steps = LaneSteps(RedisPlaces(redis), secret=plant.secret, answers=children)
    await steps.start()
    identity = build_identity(redis, objects, Sealer(plant.master_keys), plant.settings)
    sharing = build_sharing(redis, plant.settings, identity.tenants, name=f"engine-{name}")
    journal = RedisJournal(redis, Archive(objects))
    queueing = build_queueing(redis, objects, journal, secret=plant.secret, turns=sharing.turns)
    engine = gateway_engine(journal, sharing.admitted(steps), plant.settings, name=name)
    runs = RunService(
        library=_library(plant, flows, objects),
        engine=AdmittedEngine(engine, sharing.runs),
        objects=objects,
        defaults=partial(_defaults, plant.settings),
        egress_of=egress_of(identity.tenants),
        variables=identity.variables,
        on_pause=queueing.answering.pause,
        on_end=Keeping(queueing.requests, rule=plant.settings.gateway.keep).over,
    )
    children.open(runs)
    acceptance = Acceptance(queueing.requests, queueing.queue, journal, objects)
    recovery = build_recovery(queueing.upkeep, queueing.queue, acceptance, queueing.requests, plant.settings, name=name)
    upkeep = begin_upkeep(
        queueing.upkeep,
        recovery,
        queueing.requests,
        journal,
        objects,
        plant.settings,
        secret=plant.secret,
        name=name,
    )
    remembered = remembering(steps, redis, objects, secret=plant.secret)
    driver = build_driver(queueing, remembered, journal, sharing, name=name)
    return EngineWorks(driver, steps, upkeep, closing=(runs.close, sharing.close, identity.close))


def _library(plant: Plant, flows: Documents, objects: ObjectStore) -> Library:
    """Flows to run where nothing is published: components that are not known stay so."""
    registry = Reader(RegistryOnRay(), Snapshot(objects), known=known_components(), extract=_extract_nothing)
    planner = partial(_planned, pools_of(plant.settings, plant.stocks))
    return Library(store=flows, registry=registry, planner=planner, checker=check)


async def _extract_nothing(_code: str, _name: str) -> Mapping[str, Json]:
    raise RunnerUnavailableError("Components are examined where flows are published.")


async def build_post(plant: Plant, pool_name: str, name: str) -> Post:
    """Build a Runner of a pool and open it for engines, in its own process."""
    pool, redis, objects = plant.settings.pools[pool_name], connect(plant.redis_url), _objects(plant)
    image = find_image(pool.image, plant.settings.images)
    await require(image, pool.lowered_walls)
    learning, passing_on = learning_of(image, redis)
    rules = Rules(
        size=PoolSize(
            spares=pool.spares, at_work=stretched(pool.max_running), zygote_s=pool.zygote_s, forks=pool.zygote_forks
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
    log = _log_folder(plant) / f"zygote-{pool_name}-{name}.log"
    runner = Runner.on(image, objects=objects, name=name, rules=rules, preload=pool.preload, log=log)
    place = Place(name=name, pool=pool_name, address=_lane_address(plant, name), capacity=pool.max_running)
    station = Station(runner, place, places=RedisPlaces(redis), secret=plant.secret)
    await station.open()
    return Post(runner, station, passing_on, drain_s=rules.size.drain_s)


def _engine_shape(settings: Settings) -> EngineShape:
    shape = settings.engines
    return EngineShape(
        replicas=shape.replicas,
        most_replicas=shape.most_replicas,
        runs=shape.runs,
        oldest_s=shape.oldest_s,
        drain_s=shape.drain_s,
    )


def _lane_address(plant: Plant, name: str) -> str:
    if plant.settings.ray.address is None:
        return f"unix:{plant.run / name}"
    return f"tls:{ray.util.get_node_ip_address()}:0"  # type: ignore[no-untyped-call]  # Ray


def _log_folder(plant: Plant) -> Path:
    """Return where this machine keeps its logs; the home is a folder of the machine that `flowray up` was called on."""
    folder = plant.logs if plant.settings.ray.address is None else Path(tempfile.gettempdir()) / "flowray-logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _pool(plant: Plant, name: str, pool: PoolSettings) -> Application:
    shape = RunnerShape(
        replicas=pool.replicas,
        most_replicas=pool.most_replicas or pool.replicas,
        capacity=pool.max_running,
        cpu=pool.cpu,
        memory_mib=pool.memory_mib,
        gpu=pool.gpu,
        labels=pool.labels,
    )
    return runner_pool(name, shape, partial(build_post, plant, name))


def _for_all(settings: Settings, runners: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the pools that load components for whoever publishes: those that are not some tenants' own, if any."""
    return {name: runners[name] for name, pool in settings.pools.items() if not pool.owners} or runners


def _defaults(settings: Settings, tenant: str) -> TenantDefaults:
    egress = tuple(dict.fromkeys(host for pool in settings.pools.values() for host in pool.egress))
    if tenant != DEFAULT_TENANT:
        return TenantDefaults(egress=egress)
    variables = {name: secret.get_secret_value() for name, secret in settings.variables.items()}
    return TenantDefaults(variables=variables, egress=egress)


def _body_limits(settings: Settings) -> BodyLimits:
    bodies = settings.bodies
    return BodyLimits(
        run_bytes=bodies.run_mib * _MIB, flow_bytes=bodies.flow_mib * _MIB, file_bytes=bodies.file_mib * _MIB
    )


def _planned(pools: Sequence[Pool], flow: Flow, specs: Mapping[str, ComponentSpec], tenant: str) -> Plan:
    return plan(flow, specs=specs, pools=open_to(pools, tenant))


def _objects(plant: Plant) -> ObjectStore:
    return open_objects(plant.objects_url, options=plant.settings.objects.options)
