"""The upkeep of background runs: what follows from their ends, their recovery, and the removal of what is too old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowray.engine.accepted import Accepted
from flowray.engine.codec import dumps
from flowray.engine.failures import RunFailedError
from flowray.engine.leasing import Queue
from flowray.engine.outcome import Outcome
from flowray.engine.ports import Journal
from flowray.engine.whole import whole
from flowray.lasting import lasting
from flowray.stores.archive import Archive
from flowray.stores.chats import Chats
from flowray.stores.dead_letters import DeadLetters
from flowray.stores.due import RedisDueList
from flowray.stores.notices import NoticeRecords
from flowray.stores.objects import ObjectStore
from flowray.stores.owed import Owed
from flowray.stores.redis_open_runs import RedisOpenRuns
from flowray.stores.redis_runs import RedisRuns
from flowray.stores.requests import Requests
from flowray.stores.tenant_records import ObjectTenantRecords
from flowray.stores.upkeep import RedisUpkeep
from flowray_serve.bodies.workflow import blank_body
from flowray_serve.parts.desks import chats_in
from flowray_serve.parts.observing import Observing
from flowray_serve.queueing.acceptance import Acceptance
from flowray_serve.queueing.callbacks import Callbacks, Persistence
from flowray_serve.queueing.endings import Endings
from flowray_serve.queueing.forsaken import Forsaken, say_alive
from flowray_serve.queueing.outbox import Outbox
from flowray_serve.queueing.owing import Owing
from flowray_serve.queueing.posting import VettedPost
from flowray_serve.queueing.recovery import Record, Recovery, Watch
from flowray_serve.queueing.refilling import Refilling
from flowray_serve.queueing.sweeping import Retention, Sweeper
from flowray_serve.settings import Settings
from flowray_serve.workflow_answer import failed, succeeded


@dataclass(frozen=True, kw_only=True)
class UpkeepParts:
    """What gateways and engines share of it."""

    letters: DeadLetters
    owing: Owing
    endings: Endings
    archive: Archive
    runs: RedisRuns
    open_runs: RedisOpenRuns
    marks: RedisUpkeep
    chats: Chats


def upkeep_parts(redis: Any, objects: ObjectStore, requests: Requests, observing: Observing) -> UpkeepParts:
    """Build them, in a process of its own."""
    letters = DeadLetters(objects, added=observing.letter_added)
    owing, archive = owing_of(redis, objects), Archive(objects)
    return UpkeepParts(
        letters=letters,
        owing=owing,
        endings=Endings(requests, letters, owing),
        archive=archive,
        runs=RedisRuns(redis, archive),
        open_runs=RedisOpenRuns(redis),
        marks=RedisUpkeep(redis),
        chats=chats_in(redis, objects),
    )


def owing_of(redis: Any, objects: ObjectStore) -> Owing:
    """What has to be posted; the same list for gateways, who note, and engines, who deliver."""
    return Owing(Owed(objects), RedisDueList(redis, "callbacks"))


def build_recovery(
    parts: UpkeepParts, queue: Queue, acceptance: Acceptance, requests: Requests, settings: Settings, *, name: str
) -> Recovery:
    """Build what brings Redis up to the record."""
    record = Record(requests=requests, archive=parts.archive, owing=parts.owing)
    watch = Watch(settle_s=1.5 * settings.engines.lease_s)  # by then, who lives has claimed again what is theirs
    return Recovery(queue, record, acceptance, parts.endings, parts.runs, parts.marks, name=name, watch=watch)


def begin_upkeep(  # noqa: PLR0913 - each is used on its own
    parts: UpkeepParts,
    recovery: Recovery,
    requests: Requests,
    journal: Journal,
    objects: ObjectStore,
    settings: Settings,
    *,
    queue: Queue,
    secret: bytes,
    name: str,
) -> Sequence[asyncio.Task[None]]:
    """Begin all upkeep; the tasks go on until they are cancelled."""

    async def tell(accepted: Accepted) -> bytes:
        return await _ending_of(accepted, journal, objects)

    said = settings.callbacks
    callbacks = Callbacks(
        parts.owing,
        Outbox(requests, NoticeRecords(objects), tell=tell),
        parts.letters,
        VettedPost(said.private_hosts),
        secret=secret,
        persistence=Persistence(tries=said.tries, first_pause_s=said.first_pause_s),
    )
    usual = Retention(**settings.retention.model_dump())
    tenants = ObjectTenantRecords(objects)

    async def retention_of(tenant: str) -> Retention:
        record = await tenants.find(tenant)
        return usual.settled((record or {}).get("retention") or {})

    sweeper = Sweeper(objects, requests, parts.runs, parts.chats, retention_of)
    forsaken = Forsaken(parts.open_runs, journal, requests, queue, parts.archive)
    listing = Refilling(parts.marks, "list", parts.runs.rebuild, name=name)
    works: Mapping[str, Callable[[], Awaitable[None]]] = {
        "say that this engine lives": partial(say_alive, parts.open_runs, name),
        "recover runs": recovery.work,
        "list runs again": listing.work,
        "end forsaken runs": partial(forsaken.work, parts.marks, name=name),
        "deliver callbacks": callbacks.work,
        "sweep": partial(sweeper.work, parts.marks, name=name),
    }
    return [lasting(work, name=called) for called, work in works.items()]


async def _ending_of(accepted: Accepted, journal: Journal, objects: ObjectStore) -> bytes:
    """What a callback says: the run's answer in the shape of `GET /api/v2/workflows?job_id=`."""
    request, outcome = accepted.request, Outcome()
    async for one in journal.read(request.tenant, request.run):
        outcome.add(await whole(one, objects))
    body = blank_body(output_ids=accepted.facts.get("output_ids"))
    try:
        outcome.require_success(request)
    except RunFailedError as error:
        answer = failed(request, outcome, error, body)
        status = outcome.finished.status if outcome.finished else "failed"
        return dumps({"type": f"run.{status}", "data": {**answer, "status": status}})
    return dumps({"type": "run.succeeded", "data": succeeded(request, outcome, body)})
