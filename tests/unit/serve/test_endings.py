"""After the end: dead letters, callbacks, recovery from the record, and the removal of what is too old."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.leasing import Lease
from flowray.errors import StoreUnavailableError
from flowray.stores.archive import Archive
from flowray.stores.chats import ChatMessage, MemoryChats
from flowray.stores.dead_letters import DeadLetter, DeadLetters
from flowray.stores.due import MemoryDueList
from flowray.stores.notices import Notice, NoticeRecords
from flowray.stores.objects import ObjectStore
from flowray.stores.owed import Owed
from flowray.stores.sealing import SecretSeal
from flowray.stores.tapes import Tapes
from flowray_serve.queueing.callbacks import Callbacks, Persistence, spoken_key
from flowray_serve.queueing.endings import Endings
from flowray_serve.queueing.outbox import Outbox
from flowray_serve.queueing.owing import Owing
from flowray_serve.queueing.posting import CallbackUrlError, checked_url
from flowray_serve.queueing.recovery import Record, Recovery, Watch
from flowray_serve.queueing.redriving import Redriving, Wanted
from flowray_serve.queueing.sweeping import Retention, Sweeper
from tests.unit.serve.service import ECHO, KEYS_BY_ROLE, OTHER_KEY, Service, service
from tests.unit.serve.test_http_background import ended, submitted

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
        taken = await self.due.take(limit=9, for_s=5)
        for one in taken:
            await self.callbacks(tries).deliver(one)
        return len(taken)

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

    def sweeper(self, *, days: float, now: Callable[[], float]) -> Sweeper:
        async def kept(tenant: str) -> Retention:
            return Retention(runs_days=days, idempotency_h=24 * days, chats_days=self.chats_days)

        return Sweeper(self.made.objects, self.requests, self, self.chats, kept, clock=now)

    async def forget(self, tenant: str, *, before: float) -> None:
        self.forgotten = (tenant, before)


async def accepted(made: Service, **more: Any) -> tuple[Ends, RunId]:
    job = await submitted(made, await made.publish(ECHO), **more)
    return Ends(made), RunId(job["job_id"])


async def keys(objects: ObjectStore, folder: str) -> list[str]:
    return [one.key async for one in objects.list(f"tenants/default/{folder}")]


async def test_the_end_of_a_run_that_cannot_be_read_closes_its_request_too() -> None:
    made = service()
    ends, run = await accepted(made)
    await made.objects.delete(*await keys(made.objects, "drawings"))
    await ends.endings("default", run, FAILED)
    assert await keys(made.objects, "accepted") == []
    (letter,) = await ends.letters.list("default")
    assert (letter.run, letter.what) == (run, "run")
    assert "cannot be read" in letter.reason


async def test_the_end_of_a_run_closes_its_request() -> None:
    ends, run = await accepted(service())
    await ends.endings("default", run, SUCCEEDED)
    await ends.endings("default", run, SUCCEEDED)
    assert [one async for one in ends.requests.open()] == []
    assert await ends.requests.find("default", run) is not None
    assert await ends.letters.list("default") == []


async def test_a_run_that_failed_is_a_dead_letter_and_is_driven_again() -> None:
    made = service()
    ends, run = await accepted(made, input_value="once more")
    await ends.endings("default", run, FAILED)
    (letter,) = (await made.http.get("/api/v1/dead-letters", params={"kind": "lost"})).json()["dead_letters"]
    assert (letter["run"], letter["reason"], letter["what"]) == (run, "boom", "run")
    (driven,) = (await made.http.post("/api/v1/dead-letters/redrive", json={"ids": [letter["id"]]})).json()["redriven"]
    async with made.engine():
        answer = await ended(made, {"job_id": driven["run"], "links": {"status": _status(driven["run"])}})
    assert answer.json()["output"]["text"] == "once more"
    assert driven["run"] != run
    assert (await made.http.get("/api/v1/dead-letters")).json() == {"dead_letters": []}


async def test_dead_letters_are_chosen_by_a_filter_that_has_to_be_said() -> None:
    made = service()
    ends, run = await accepted(made)
    await ends.endings("default", run, FAILED)
    assert (await made.http.post("/api/v1/dead-letters/redrive", json={})).status_code == 422
    assert (await made.http.get("/api/v1/dead-letters", params={"what": "nope"})).status_code == 422
    none = await made.http.post("/api/v1/dead-letters/redrive", json={"kind": "memory"})
    assert none.json() == {"redriven": []}
    other = await made.http.get("/api/v1/dead-letters", headers={"x-api-key": OTHER_KEY})
    assert other.json() == {"dead_letters": []}
    assert (await made.http.delete(f"/api/v1/dead-letters/run-{run}")).status_code == 204
    assert (await made.http.delete(f"/api/v1/dead-letters/run-{run}")).status_code == 404


async def test_a_callback_is_signed_as_its_receiver_checks_it() -> None:
    made = service()
    ends, run = await accepted(made, callback_url=URL)
    await ends.endings("default", run, SUCCEEDED)
    assert await ends.deliver() == 1
    ((url, body, headers),) = ends.posts
    spoken = (await made.http.get("/api/v1/callbacks/key")).json()["key"]
    assert spoken == spoken_key(SECRET, "default")
    key = base64.b64decode(spoken.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert (url, headers["webhook-id"], headers["webhook-signature"]) == (URL, run, f"v1,{expected}")
    assert headers["webhook-timestamp"] == "1000"
    assert [one async for one in ends.owed.all()] == []


async def test_a_callback_that_nobody_takes_is_tried_again_then_given_up() -> None:
    made = service()
    ends, run = await accepted(made, callback_url=URL)
    ends.status = 500
    await ends.endings("default", run, SUCCEEDED)
    assert await ends.deliver() == 1
    assert await ends.deliver() == 0
    ends.now += 10
    assert await ends.deliver() == 1
    ends.now += 1_000
    assert await ends.deliver() == 0
    (letter,) = await ends.letters.list("default")
    assert (letter.what, letter.reason) == ("callback", "2 tries: It was answered with 500.")
    assert [one async for one in ends.owed.all()] == []


async def test_a_callback_that_breaks_its_sender_is_given_up_like_one_that_nobody_takes() -> None:
    ends, run = await accepted(service(), callback_url=URL)
    ends.breaks = UnicodeError("label too long")
    await ends.endings("default", run, SUCCEEDED)
    await ends.deliver(tries=1)
    (letter,) = await ends.letters.list("default")
    assert letter.reason == "1 tries: It cannot be sent: UnicodeError('label too long')"
    assert [one async for one in ends.owed.all()] == []


async def test_a_notice_that_cannot_be_read_keeps_no_callback_from_being_delivered() -> None:
    ends, run = await accepted(service(), callback_url=URL)
    await ends.made.objects.put("tenants/default/notices/damaged", b"no notice at all")
    await ends.owing.add("default", RunId("damaged"))
    await ends.endings("default", run, SUCCEEDED)
    assert await ends.deliver() == 2
    assert [headers["webhook-id"] for _, _, headers in ends.posts] == [run]


async def test_a_notice_is_signed_tried_again_and_driven_again_like_a_callback() -> None:
    made = service()
    ends, name = Ends(made), RunId("budget-day-2026-11-25-tokens-spent-100")
    said = {"type": "budget.spent", "data": {"tenant": "default"}}
    await ends.notices.keep("default", Notice(name=name, url=URL, said=said))
    ends.status = 503
    await ends.owing.add("default", name)
    await ends.deliver(tries=1)

    (letter,) = (await made.http.get("/api/v1/dead-letters", params={"what": "notice"})).json()["dead_letters"]
    assert (letter["id"], letter["reason"]) == (f"notice-{name}", "1 tries: It was answered with 503.")
    ends.status = 204
    driven = await ends.redriving().redrive("default", Wanted(ids=[letter["id"]]))
    await ends.deliver(tries=1)

    assert list(driven) == [{"id": letter["id"], "run": name}]
    (_, first, _), (url, body, headers) = ends.posts
    assert (url, body, headers["webhook-id"]) == (URL, first, name)
    assert json.loads(body) == said
    assert headers["webhook-signature"].startswith("v1,")
    assert await ends.letters.list("default") == []


async def test_notices_are_driven_again_by_a_filter() -> None:
    made = service()
    ends, name = Ends(made), "budget-day-2026-11-25-tokens-spent-100"
    letter = DeadLetter(run=name, what="notice", flow="", flow_name="", kind="notice", reason="8 tries", at=1.0)
    await ends.letters.add("default", letter)
    driven = await made.http.post("/api/v1/dead-letters/redrive", json={"what": "notice"})
    assert driven.json() == {"redriven": [{"id": letter.id, "run": name}]}


async def test_a_callback_goes_where_it_may_only() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    for url in (
        "http://hooks.example.org",
        "https://10.0.0.1/x",
        "ftp://x.example",
        "https://u:p@x.example",
        "https://[x",
    ):
        response = await made.http.post(
            "/api/v2/workflows", json={"flow_id": flow_id, "mode": "background", "callback_url": url}
        )
        assert (response.status_code, response.json()["code"]) == (422, "callback_url"), f"{url}: {response.text}"
    assert checked_url("http://127.0.0.2:8000/x", private=("127.0.0.2:8000",)) == "http://127.0.0.2:8000/x"
    assert (await made.queue.stats()).waiting == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://a..example.com/",
        f"https://{'a' * 64}.example.com/",
        "https://hooks.example.org/\x7f",
        "https://hooks.example.org/" + "a" * 70_000,
        "https://hooks.example.org:65536/",
        "https://hooks example.org/",
        "https://\ud800.example.org/",
    ],
)
def test_a_callback_s_url_that_nobody_could_post_to_is_refused(url: str) -> None:
    with pytest.raises(CallbackUrlError):
        checked_url(url)


def test_a_callback_may_go_to_a_name_that_is_not_ascii() -> None:
    assert checked_url("https://bücher.example/done") == "https://bücher.example/done"


async def test_accepted_runs_are_queued_again_after_the_store_was_emptied() -> None:
    made = service()
    ends, run = await accepted(made, input_value="still here", callback_url=URL)
    await ends.owing.add("default", RunId("told"))
    ends.due = MemoryDueList()
    ends.owing = Owing(ends.owed, ends.due)
    made.queue.empty()
    found = await ends.recovery().reindex()
    assert (found.queued, found.closed, found.callbacks, found.listed) == (1, 0, 1, 3)
    async with made.engine():
        answer = await ended(made, {"job_id": run, "links": {"status": _status(run)}})
    assert answer.json()["output"]["text"] == "still here"


async def test_what_the_queue_knows_and_what_is_archived_is_not_queued_again() -> None:
    made = service()
    ends, run = await accepted(made)
    assert (await ends.recovery().recover()).queued == 0
    end = Recorded(seq=1, at=1.0, run=run, event=FAILED)
    from flowray.engine.codec import encode

    await ends.archive.keep("default", run, [b"[" + encode(end) + b"]"])
    made.queue.empty()
    found = await ends.recovery().recover()
    assert (found.queued, found.closed) == (0, 1)
    assert [one.run for one in await ends.letters.list("default")] == [run]


async def test_a_run_whose_record_is_damaged_keeps_no_other_from_being_queued_again() -> None:
    made = service()
    flow = await made.publish(ECHO)
    damaged, *_ = [(await submitted(made, flow))["job_id"] for _ in range(3)]
    ends = Ends(made)
    await made.objects.put(f"tenants/default/accepted/{damaged}", b"no request at all")
    await made.objects.put(f"tenants/default/journals/{damaged}.jsonl.gz", b"no journal at all")
    made.queue.empty()

    found = await ends.recovery().recover()

    assert (found.queued, found.closed) == (2, 0)


async def test_a_store_that_is_away_ends_a_recovery() -> None:
    made = service()
    ends, _ = await accepted(made)

    async def away(*_: Any, **__: Any) -> bool:
        raise StoreUnavailableError("away")

    made.queue.knows = away  # type: ignore[method-assign]

    with pytest.raises(StoreUnavailableError):
        await ends.recovery().recover()


async def test_a_fresh_store_is_marked_once_it_is_filled() -> None:
    made = service()
    ends, _ = await accepted(made)
    made.queue.empty()
    await ends.recovery().recover()
    assert ends.filled
    assert (await made.queue.stats()).waiting == 1


async def test_a_store_that_is_emptied_while_it_is_filled_is_filled_once_more() -> None:
    made = service()
    ends, run = await accepted(made)
    made.queue.empty()
    refill = ends.owing.refill

    async def refill_and_lose() -> int:
        if ends.redis == "one":  # the runs are queued by now
            made.queue.empty()
            ends.redis = "another"
        return await refill()

    ends.owing.refill = refill_and_lose  # type: ignore[method-assign]
    watching = asyncio.create_task(ends.recovery().work())
    async with asyncio.timeout(5):
        while not ends.filled:  # noqa: ASYNC110 - the mark tells nobody
            await asyncio.sleep(0.001)
    watching.cancel()
    assert await made.queue.claim("default", run, holder="me", for_s=9) is not None


async def test_what_redis_lost_when_it_was_started_again_is_queued_again() -> None:
    made = service()
    ends, _ = await accepted(made)
    ends.filled = True
    watching = asyncio.create_task(ends.recovery().work())
    async with asyncio.timeout(5):
        while ends.looks < 2:  # noqa: ASYNC110 - nobody tells that the look at the start is over
            await asyncio.sleep(0.001)
        made.queue.empty()
        ends.redis = "another"
        while not (await made.queue.stats()).waiting:  # noqa: ASYNC110 - the queue tells nobody of this
            await asyncio.sleep(0.001)
    watching.cancel()


async def test_what_is_older_than_its_tenant_keeps_it_is_removed() -> None:
    made = service()
    ends, run = await accepted(made, idempotency_key="k")
    open_run = RunId(str(uuid.uuid4()))
    for name in (run, open_run):
        await made.objects.put(f"tenants/default/values/{name}/x", b"1")
    await ends.endings("default", run, FAILED)
    job = await submitted(made, await made.publish({**ECHO, "name": "Another"}))
    await made.objects.put(f"tenants/default/values/{job['job_id']}/x", b"1")
    assert await ends.sweeper(days=1, now=time.time).sweep() == 0
    await ends.sweeper(days=1, now=lambda: time.time() + 3 * DAY_S).sweep()
    assert await keys(made.objects, "requests") == []
    assert await keys(made.objects, "dead") == []
    assert await keys(made.objects, "idempotency") == []
    assert await keys(made.objects, "values") == [f"tenants/default/values/{job['job_id']}/x"]
    assert len(await keys(made.objects, "drawings")) == 1
    assert ends.forgotten[0] == "default"
    assert await ends.requests.find("default", RunId(job["job_id"])) is not None


async def test_a_damaged_request_keeps_no_other_tenant_s_record_from_being_swept() -> None:
    ends, run = await accepted(service())
    objects = ends.made.objects
    await objects.put("tenants/default/accepted/damaged", b"no request at all")
    for tenant in ("default", "other"):
        await objects.put(f"tenants/{tenant}/journals/old.jsonl.gz", b"old")
    assert await ends.sweeper(days=1, now=lambda: time.time() + 3 * DAY_S).sweep() >= 1
    assert [one.key async for one in objects.list("tenants/other/journals")] == []
    assert await ends.requests.find("default", run) is not None


async def test_what_an_ended_run_heard_is_removed_with_it() -> None:
    made = service()
    ends, run = await accepted(made)
    still = RunId((await submitted(made, await made.publish({**ECHO, "name": "Another"})))["job_id"])
    tapes = Tapes(made.objects, SecretSeal(SECRET))
    for one in (run, still):
        await tapes.keep("default", one, "asked-1", {"status": 200}, b"heard")
    await ends.endings("default", run, SUCCEEDED)
    await ends.sweeper(days=3, now=lambda: time.time() + 2 * DAY_S).sweep()
    assert await tapes.find("default", run, "asked-1") is not None
    await ends.sweeper(days=1, now=lambda: time.time() + 2 * DAY_S).sweep()
    assert await tapes.find("default", run, "asked-1") is None
    assert await tapes.find("default", still, "asked-1") is not None


async def test_chats_in_which_nobody_speaks_go_when_that_is_settled() -> None:
    ends, _ = await accepted(service())
    said = ChatMessage(id="m", flow="f", session="s", at=0.0, body={"id": "m"})
    await ends.chats.add("default", [said])
    later = ends.sweeper(days=100, now=lambda: time.time() + 3 * DAY_S)
    await later.sweep()
    assert await ends.chats.sessions("default") == ("s",)
    ends.chats_days = 4.0
    await later.sweep()
    assert await ends.chats.sessions("default") == ("s",)
    ends.chats_days = 2.0
    assert await later.sweep() == 1
    assert await ends.chats.sessions("default") == ()


async def test_an_operator_fills_the_store_from_the_record() -> None:
    made = service()
    await accepted(made)
    made.queue.empty()
    made.http.headers["x-api-key"] = KEYS_BY_ROLE["operator"]
    found = await made.http.post("/api/v1/admin/reindex")
    assert found.json() == {"queued": 1, "closed": 0, "callbacks": 0, "listed": 0}
    told = (await made.http.get("/api/v1/admin/queue")).json()
    assert (told["waiting"], told["tenants"][0]["tenant"]) == (1, "default")


@pytest.mark.parametrize("value", [0, -1, "7", True, None])
def test_a_retention_that_is_no_amount_is_not_heeded(value: Any) -> None:
    assert Retention().settled({"runs_days": value, "other": 3}) == Retention()
    assert Retention().settled({"runs_days": 2}).runs_days == 2.0
    assert Retention(chats_days=9.0).settled({"chats_days": value}).chats_days == 9.0
    assert Retention().settled({"chats_days": 2}).chats_days == 2.0


async def test_a_run_that_the_queue_cannot_take_is_not_accepted() -> None:
    made = service()
    flow_id = await made.publish(ECHO)

    async def away(*_: Any, **__: Any) -> Lease | None:
        raise StoreUnavailableError("away")

    made.queue.offer = away  # type: ignore[method-assign, assignment]
    response = await made.http.post(f"/api/v1/webhook/{flow_id}", content=b"x")
    assert response.status_code == 503
    assert [one async for one in made.services.jobs.requests.open()] == []


def _status(run: str) -> str:
    return f"/api/v2/workflows?job_id={run}"
