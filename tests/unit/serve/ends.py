"""What stands behind background runs that are over, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowray.engine.events import RunFinished, RunId
from flowray.stores.archive import Archive
from flowray.stores.chats import MemoryChats
from flowray.stores.dead_letters import DeadLetters
from flowray.stores.due import MemoryDueList
from flowray.stores.notices import NoticeRecords
from flowray.stores.objects import ObjectStore
from flowray.stores.owed import Owed
from flowray_serve.queueing.callbacks import Callbacks, Persistence
from flowray_serve.queueing.endings import Endings
from flowray_serve.queueing.outbox import Outbox
from flowray_serve.queueing.owing import Owing
from flowray_serve.queueing.recovery import Record, Recovery, Watch
from flowray_serve.queueing.redriving import Redriving
from flowray_serve.queueing.sweeping import Retention, Sweeper
from tests.unit.serve.service import ECHO, Service
from tests.unit.serve.test_http_background import submitted

URL = "https://hooks.example.org/done"


FAILED = RunFinished(status="failed", error="boom", kind="lost")


SUCCEEDED = RunFinished(status="succeeded")


SECRET = b"secret"


DAY_S = 86_400.0


class Ends:
    """What stands behind a service's background runs, with a clock to turn."""

    def __init__(self, made: Service) -> None:
        self.made = made
        self.now = 1_000.0
        self.due = MemoryDueList(clock=lambda: self.now)
        self.owed = Owed(made.objects)
        self.owing = Owing(self.owed, self.due)
        self.letters = DeadLetters(made.objects)
        self.notices = NoticeRecords(made.objects)
        self.requests = made.services.jobs.requests
        self.endings = Endings(self.requests, self.letters, self.owing, clock=lambda: self.now)
        self.archive = Archive(made.objects)
        self.chats = MemoryChats()
        self.chats_days: float | None = None
        self.posts: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.status = 200
        self.breaks: Exception | None = None
        self.filled = False
        self.redis, self.looks = "one", 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.posts.append((url, body, headers))
        if self.breaks is not None:
            raise self.breaks
        return self.status

    def callbacks(self, tries: int = 2) -> Callbacks:
        async def tell(_: Any) -> bytes:
            return b'{"type":"run.succeeded"}'

        return Callbacks(
            self.owing,
            Outbox(self.requests, self.notices, tell=tell),
            self.letters,
            self.post,
            secret=SECRET,
            persistence=Persistence(tries=tries, first_pause_s=10),
            clock=lambda: self.now,
        )

    async def deliver(self, tries: int = 2) -> int:
        count = 0
        while taken := await self.due.take(limit=9, for_s=5):
            for one in taken:
                await self.callbacks(tries).deliver(one)
            count += len(taken)
        return count

    async def rebuild(self) -> int:
        return 3

    async def is_filled(self, what: str) -> bool:
        return self.filled

    async def begin(self, what: str) -> str:
        return f"{what} of {self.redis}"

    async def note_filled(self, what: str, begun: str) -> bool:
        self.filled = begun == f"{what} of {self.redis}"
        return self.filled

    async def server(self) -> str:
        self.looks += 1
        return self.redis

    async def mine(self, work: str, *, by: str, for_s: int) -> bool:
        return True

    def redriving(self) -> Redriving:
        return Redriving(self.letters, self.requests, self.made.services.jobs.acceptance, self.owing)

    def recovery(self) -> Recovery:
        record = Record(requests=self.requests, archive=self.archive, owing=self.owing)
        acceptance = self.made.services.jobs.acceptance
        watch = Watch(look_s=0.001, settle_s=0, young_s=0.001)
        return Recovery(
            self.made.queue, record, acceptance, self.endings, self, self, name="me", watch=watch, clock=lambda: 4e9
        )

    def sweeper(self, *, days: float, now: Callable[[], float], idempotency_h: float | None = None) -> Sweeper:
        async def kept(tenant: str) -> Retention:
            return Retention(runs_days=days, idempotency_h=idempotency_h or 24 * days, chats_days=self.chats_days)

        return Sweeper(self.made.objects, self.requests, self, self.chats, kept, clock=now)

    async def forget(self, tenant: str, *, before: float) -> None:
        self.forgotten = (tenant, before)


async def accepted(made: Service, **more: Any) -> tuple[Ends, RunId]:
    job = await submitted(made, await made.publish(ECHO), **more)
    return Ends(made), RunId(job["job_id"])


async def keys(objects: ObjectStore, folder: str) -> list[str]:
    return [one.key async for one in objects.list(f"tenants/default/{folder}")]
