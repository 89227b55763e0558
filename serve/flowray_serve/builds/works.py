"""An engine that drives queued runs, built in its own process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from flowray.component.check import check
from flowray.component.known import known_components
from flowray.errors import RunnerUnavailableError
from flowray.flow.types import Json
from flowray.lasting import lasting
from flowray.stores.archive import Archive
from flowray.stores.documents import Documents
from flowray.stores.drawer import Drawer
from flowray.stores.generations import RedisGenerations
from flowray.stores.objects import ObjectStore
from flowray.stores.places import RedisPlaces
from flowray.stores.records import UploadRecord
from flowray.stores.redis import connect
from flowray.stores.redis_journal import RedisJournal
from flowray.tenancy.sealing import Sealer
from flowray_registry.reader import Reader, RegistryOnRay
from flowray_registry.snapshot import Snapshot
from flowray_serve.admission.bounded import BoundedDocuments
from flowray_serve.builds.log import keep_log
from flowray_serve.builds.plant import Plant, objects_of, planned
from flowray_serve.builds.runs import run_service
from flowray_serve.child_runs import ChildRuns
from flowray_serve.lanes.steps import LaneSteps
from flowray_serve.library import Library
from flowray_serve.own_files import OwnFiles
from flowray_serve.parts.desks import engine_desk
from flowray_serve.parts.identity import build_identity
from flowray_serve.parts.observing import Observing
from flowray_serve.parts.packages import pools_of
from flowray_serve.parts.queueing import (
    EngineWorks,
    build_driver,
    build_queueing,
    gateway_engine,
)
from flowray_serve.parts.remembering import remembering
from flowray_serve.parts.sharing import build_sharing
from flowray_serve.parts.upkeep import begin_upkeep, build_recovery
from flowray_serve.queueing.acceptance import Acceptance


async def build_works(plant: Plant, name: str) -> EngineWorks:
    """Build an engine that drives queued runs, in its own process."""
    keep_log(plant, f"engine-{name}")
    redis, objects = connect(plant.redis_url), objects_of(plant)
    identity = build_identity(redis, objects, Sealer(plant.master_keys), plant.settings)
    observing = Observing(redis, plant.settings.traces)
    sharing = build_sharing(redis, objects, plant.settings, identity.tenants, observing, name=f"engine-{name}")
    flows = BoundedDocuments(objects, RedisGenerations(redis), sharing.settled.terms)
    children = ChildRuns(flows, deepest=plant.settings.subflows.depth)
    own_files = OwnFiles(Drawer(objects, "uploads", UploadRecord), flows)
    steps = LaneSteps(RedisPlaces(redis), secret=plant.secret, answers=engine_desk(children, own_files))
    await steps.start()
    journal = RedisJournal(redis, Archive(objects))
    queueing = build_queueing(redis, journal, sharing, objects, secret=plant.secret, turns=sharing.turns)
    # What queued runs do, the runs that they start do as well.
    remembered = remembering(steps, redis, objects, secret=plant.secret)
    engine = gateway_engine(journal, sharing.admitted(remembered), plant.settings, ends=queueing.ends, name=name)
    library = _library(plant, flows, objects)
    observing.open(library)
    runs = run_service(plant, identity, sharing, queueing, engine=engine, library=library)
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
        queue=queueing.queue,
        secret=plant.secret,
        name=name,
    )
    recording = lasting(queueing.ends.work, name="record ends")
    driver = build_driver(queueing, remembered, journal, sharing, name=name)
    closing = (runs.close, sharing.close, observing.close, identity.close)
    return EngineWorks(driver, steps, (*upkeep, recording), closing=closing)


def _library(plant: Plant, flows: Documents, objects: ObjectStore) -> Library:
    """Flows to run where nothing is published: components that are not known stay so."""
    registry = Reader(RegistryOnRay(), Snapshot(objects), known=known_components(), extract=_extract_nothing)
    planner = partial(planned, pools_of(plant.settings, plant.stocks))
    return Library(store=flows, registry=registry, planner=planner, checker=check)


async def _extract_nothing(_code: str, _name: str) -> Mapping[str, Json]:
    raise RunnerUnavailableError("Components are examined where flows are published.")
