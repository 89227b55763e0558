"""After the end: dead letters, callbacks and notices."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json

import pytest

from flowray.engine.events import RunId
from flowray.stores.dead_letters import DeadLetter
from flowray.stores.due import Due
from flowray.stores.notices import Notice
from flowray_serve.queueing.callbacks import spoken_key
from flowray_serve.queueing.posting import CallbackUrlError, checked_url
from flowray_serve.queueing.redriving import Wanted
from tests.unit.serve.ends import FAILED, SECRET, SUCCEEDED, URL, Ends, accepted, keys
from tests.unit.serve.service import ECHO, OTHER_KEY, service
from tests.unit.serve.test_http_background import ended


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


async def test_a_dead_letter_that_two_drive_again_at_once_becomes_one_run() -> None:
    ends, run = await accepted(service())
    await ends.endings("default", run, FAILED)
    redriving, wanted = ends.redriving(), Wanted(ids=[f"run-{run}"])

    driven = await asyncio.gather(*(redriving.redrive("default", wanted) for _ in range(3)))

    # Whoever comes when it is done already is told that there is none.
    assert len({one["run"] for each in driven for one in each if "error" not in one}) == 1


async def test_a_dead_letter_that_cannot_be_driven_again_says_why_and_holds_up_no_other() -> None:
    made = service()
    ends, run = await accepted(made)
    await ends.endings("default", run, FAILED)
    broken = DeadLetter(run="r-1", what="run", flow="", flow_name="", kind="failed", reason="unread", at=4e9)
    await ends.letters.add("default", broken)
    await made.objects.put("tenants/default/requests/r-1", b"no request at all")

    unread, driven = (await made.http.post("/api/v1/dead-letters/redrive", json={"all": True})).json()["redriven"]

    assert (unread["id"], driven["id"]) == ("run-r-1", f"run-{run}")
    assert unread["error"]
    assert driven["run"]


async def test_a_dead_letter_that_is_named_and_not_there_is_told_beside_those_that_are() -> None:
    made = service()
    ends, run = await accepted(made)
    await ends.endings("default", run, FAILED)
    driven = await made.http.post("/api/v1/dead-letters/redrive", json={"ids": ["run-nobody", f"run-{run}"]})
    there, missing = driven.json()["redriven"]
    assert (there["id"], "run" in there) == (f"run-{run}", True)
    assert (missing["id"], "no dead letter" in missing["error"].lower()) == ("run-nobody", True)


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


@pytest.mark.parametrize("name", ["echo-here", "Echo", ""])
async def test_dead_letters_of_a_flow_are_found_by_its_id_its_name_and_its_endpoint_name(name: str) -> None:
    made = service()
    ends, run = await accepted(made)
    await ends.endings("default", run, FAILED)
    flow = (await made.http.get("/api/v1/flows/")).json()[0]["id"]
    await made.http.patch(f"/api/v1/flows/{flow}", json={"endpoint_name": "echo-here"})

    listed = await made.http.get("/api/v1/dead-letters", params={"flow": name or flow})
    driven = await made.http.post("/api/v1/dead-letters/redrive", json={"flow": name or flow})

    assert [one["run"] for one in listed.json()["dead_letters"]] == [run]
    assert [one["id"] for one in driven.json()["redriven"]] == [f"run-{run}"]


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


async def test_a_callback_whose_run_cannot_be_read_is_given_up_like_one_that_nobody_takes() -> None:
    made = service()
    ends, run = await accepted(made, callback_url=URL)
    await ends.endings("default", run, SUCCEEDED)
    await made.objects.delete(*await keys(made.objects, "drawings"))
    ends.requests._drawn.clear()
    for _ in range(2):
        assert await ends.deliver(tries=2) == 1
        ends.now += 100
    (letter,) = await ends.letters.list("default")
    assert (letter.run, letter.what, "cannot be read" in letter.reason) == (run, "callback", True)
    assert (await keys(made.objects, "callbacks"), await ends.deliver()) == ([], 0)


async def test_a_callback_of_which_nobody_knows_any_more_where_it_was_to_go_is_a_dead_letter() -> None:
    made = service()
    ends, run = await accepted(made, callback_url=URL)
    await ends.endings("default", run, SUCCEEDED)
    await made.objects.delete(*await keys(made.objects, "requests"))

    assert (await ends.deliver(), await ends.deliver()) == (1, 0)

    (letter,) = await ends.letters.list("default")
    assert (letter.run, letter.what, letter.reason) == (run, "callback", "What it was to say is no longer kept.")
    assert [one async for one in ends.owed.all()] == []


async def test_a_callback_that_is_owed_no_more_leaves_no_dead_letter() -> None:
    ends = Ends(service())
    await ends.due.add("default", RunId("of-a-tenant-that-was-purged"))

    assert (await ends.deliver(), await ends.deliver()) == (1, 0)

    assert await ends.letters.list("default") == []


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


@pytest.mark.parametrize("what", ["callback", "notice"])
async def test_what_is_driven_again_as_it_is_being_given_up_is_not_lost(what: str) -> None:
    ends, run = await accepted(service(), callback_url=URL)
    if what == "notice":
        await ends.notices.keep("default", Notice(name=run, url=URL, said={}))
    settle, wanted = ends.owing.settle, Wanted(ids=[f"{what}-{run}"])

    async def settled(due: Due) -> None:
        (told,) = await ends.redriving().redrive("default", wanted)
        assert "Try again" in told["error"]
        await settle(due)

    ends.owing.settle = settled  # type: ignore[method-assign]
    ends.status = 500
    await ends.endings("default", run, SUCCEEDED)
    await ends.deliver(tries=1)

    assert [letter.id for letter in await ends.letters.list("default")] == [f"{what}-{run}"]
    assert await ends.redriving().redrive("default", wanted) == [{"id": f"{what}-{run}", "run": run}]
    assert [owed async for owed in ends.owed.all()] == [("default", run)]
    ends.owing.settle, ends.status = settle, 204  # type: ignore[method-assign]
    assert (await ends.deliver(), len(ends.posts)) == (1, 2)
    assert [owed async for owed in ends.owed.all()] == []


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


def _status(run: str) -> str:
    return f"/api/v2/workflows?job_id={run}"
