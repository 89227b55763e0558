"""Runs in the background: what a gateway needs to accept and stop them, and what an engine needs to drive them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowray.engine.journals import PatientJournal
from flowray.engine.leasing import Cancels, Queue, QueueStats, Turns
from flowray.engine.ledger import UNHURRIED_S, Durability
from flowray.engine.loop import Engine
from flowray.engine.ports import Journal, Steps
from flowray.lasting import lasting
from flowray.stores.archive import Archive
from flowray.stores.ended import Ends
from flowray.stores.fresh_ends import FreshEnds
from flowray.stores.handing_journal import HandingJournal
from flowray.stores.objects import ObjectStore
from flowray.stores.recording_journal import RecordingJournal
from flowray.stores.redis_cancels import RedisCancels
from flowray.stores.redis_ends import RedisEnds
from flowray.stores.redis_queue import RedisQueue
from flowray.stores.requests import Requests
from flowray.stores.sealing import SecretSeal
from flowray_serve.admission.queued import AdmittedLeasedEngine
from flowray_serve.lanes.steps import LaneSteps
from flowray_serve.parts.sharing import Sharing
from flowray_serve.parts.upkeep import UpkeepParts, build_recovery, upkeep_parts
from flowray_serve.queueing.acceptance import Acceptance
from flowray_serve.queueing.answering import Answering
from flowray_serve.queueing.carry import Carrier
from flowray_serve.queueing.driver import Driver, Pace
from flowray_serve.queueing.jobs import Jobs
from flowray_serve.queueing.redriving import Redriving
from flowray_serve.queueing.reruns import Reruns
from flowray_serve.queueing.stopping import Stopping
from flowray_serve.run_service import RunService
from flowray_serve.settings import Settings

# A gateway's caller waits for the answer; a queued run can wait for its journal as long as nobody else may have it.
_GATEWAY_PATIENCE_S = 20.0
_ENGINE_PATIENCE_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Queueing:
    """Where accepted runs are, and who is told to stop."""

    journal: Journal
    requests: Requests
    queue: Queue
    cancels: Cancels
    answering: Answering
    upkeep: UpkeepParts
    ends: FreshEnds
    secret: bytes


def build_queueing(
    redis: Any, journal: Journal, sharing: Sharing, objects: ObjectStore, *, secret: bytes, turns: Turns | None = None
) -> Queueing:
    """Build it, in a process of its own."""
    requests = Requests(objects, SecretSeal(secret))
    queue = RedisQueue(redis, turns=turns, settles_s=sharing.settings.engines.lease_s)
    upkeep = upkeep_parts(redis, objects, requests, sharing.observing)
    return Queueing(
        journal=journal,
        requests=requests,
        queue=queue,
        cancels=RedisCancels(redis),
        upkeep=upkeep,
        ends=FreshEnds(RedisEnds(redis), journal, sharing.archive(objects), after=upkeep.endings),
        secret=secret,
        answering=Answering(queue, requests, journal),
    )


def gateway_engine(journal: Journal, steps: Steps, settings: Settings, *, ends: Ends, name: str) -> Engine:
    """The engine of synchronous runs; a Redis that is restarted under it fails none of them."""
    if settings.durability != "relaxed":
        journal = PatientJournal(journal, patience_s=_GATEWAY_PATIENCE_S)
    return Engine(HandingJournal(journal, ends), steps, name=name, durability=settings.durability, linger_s=UNHURRIED_S)


@dataclass(frozen=True, kw_only=True)
class GatewayQueue:
    """The jobs of a gateway, and its ear for cancellations."""

    jobs: Jobs
    hearing: asyncio.Task[None]

    async def close(self) -> None:
        """Hear nothing more."""
        self.hearing.cancel()
        await asyncio.wait([self.hearing])


def build_gateway_queue(
    queueing: Queueing,
    runs: RunService,
    engine: Engine,
    journal: Journal,
    objects: ObjectStore,
    *,
    sharing: Sharing,
) -> GatewayQueue:
    """Build it, in the gateway's own process."""
    recording = RecordingJournal(journal, Archive(objects), queueing.ends)
    ending = engine.writing_to(PatientJournal(recording, patience_s=_GATEWAY_PATIENCE_S))
    stopping = Stopping(runs, queueing.queue, queueing.cancels, queueing.requests, journal, ending, name="gateway")
    acceptance = Acceptance(queueing.requests, queueing.queue, journal, objects, admit=sharing.runs.may_queue)
    jobs = Jobs(
        acceptance=acceptance,
        redriving=Redriving(queueing.upkeep.letters, queueing.requests, acceptance, queueing.upkeep.owing),
        recovery=build_recovery(
            queueing.upkeep, queueing.queue, acceptance, queueing.requests, sharing.settings, name="gateway"
        ),
        queue=queueing.queue,
        secret=queueing.secret,
        private_hosts=sharing.settings.callbacks.private_hosts,
        stopping=stopping,
        answering=queueing.answering,
        reruns=Reruns(queueing.requests, acceptance, journal),
        requests=queueing.requests,
        journal=journal,
        objects=objects,
        sync_s=sharing.settings.gateway.sync_s,
    )
    return GatewayQueue(jobs=jobs, hearing=lasting(partial(_hear, queueing.cancels, runs), name="hear cancellations"))


class EngineWorks:
    """An engine replica's inside: what drives runs, and the upkeep of all of them."""

    def __init__(
        self,
        driver: Driver,
        steps: LaneSteps,
        upkeep: Sequence[asyncio.Task[None]],
        *,
        closing: Sequence[Callable[[], Awaitable[None]]],
    ) -> None:
        self._closing = closing
        self._driver = driver
        self._steps = steps
        self._upkeep = upkeep

    @property
    def running(self) -> int:
        """How many runs it drives."""
        return self._driver.running

    def check(self) -> None:
        """Raise when it no longer does its work."""
        self._driver.check()

    async def stats(self) -> QueueStats:
        """The queues at a glance."""
        return await self._driver.stats()

    async def close(self) -> None:
        """Hand over, then leave."""
        await self._driver.close()
        await self._steps.close()
        for task in self._upkeep:
            task.cancel()
        await asyncio.wait(self._upkeep)
        for close in self._closing:
            await close()


def build_driver(queueing: Queueing, steps: Steps, journal: Journal, sharing: Sharing, *, name: str) -> Driver:
    """Build what drives queued runs, and let it begin."""
    # A queued run's events are written ahead of what follows from them, whatever synchronous runs do: others go on
    # from this journal.
    settings, archive = sharing.settings, queueing.upkeep.archive
    durability: Durability = "strict" if settings.durability == "strict" else "pipelined"
    patient = PatientJournal(RecordingJournal(journal, archive, queueing.ends), patience_s=_ENGINE_PATIENCE_S)
    engine = Engine(patient, sharing.admitted(steps), name=name, durability=durability)
    shape, admitted = settings.engines, AdmittedLeasedEngine(engine, sharing.runs)
    carrier = Carrier(queueing.queue, queueing.requests, journal, admitted, archive, most_takes=shape.takes)
    pace = Pace(runs=shape.runs, lease_s=shape.lease_s, drain_s=shape.drain_s)
    driver = Driver(queueing.queue, queueing.cancels, carrier, name=name, pace=pace)
    driver.start()
    return driver


async def _hear(cancels: Cancels, runs: RunService) -> None:
    async with aclosing(cancels.listen()) as asked:
        async for tenant, run, reason in asked:
            runs.hear(tenant, run, reason)
