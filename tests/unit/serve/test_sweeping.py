"""The removal of what is too old."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from flowray.engine.events import RunId
from flowray.stores.chats import ChatMessage
from flowray.stores.objects import open_objects
from flowray.stores.requests import Requests
from flowray.stores.sealing import SecretSeal
from flowray.stores.tapes import Tapes
from flowray_serve.queueing.sweeping import Retention
from tests.unit.serve.ends import DAY_S, FAILED, SECRET, SUCCEEDED, URL, Ends, accepted, keys
from tests.unit.serve.service import ECHO, service
from tests.unit.serve.test_http_background import ended, submitted


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


async def test_a_key_goes_with_its_run_and_stands_for_another_one_then() -> None:
    made = service()
    flow, ends = await made.publish(ECHO), Ends(made)
    async with made.engine():
        first = await submitted(made, flow, idempotency_key="k")
        assert (await ended(made, first)).json()["status"] == "completed"
    await ends.endings("default", RunId(first["job_id"]), SUCCEEDED)
    await ends.sweeper(days=1, idempotency_h=48, now=lambda: time.time() + 1.5 * DAY_S).sweep()

    async with made.engine():
        second = await submitted(made, flow, idempotency_key="k")
        assert (await ended(made, second)).json()["status"] == "completed"
    assert (second["job_id"] == first["job_id"], await keys(made.objects, "requests")) == (False, [])


async def test_a_run_that_was_open_for_long_can_be_read_for_as_long_after_its_end_as_any_other(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    ends, run = await accepted(service(objects=objects))
    (drawing,) = (tmp_path / "tenants" / "default" / "drawings").iterdir()
    os.utime(drawing, (long_ago := time.time() - 20 * DAY_S, long_ago))
    await ends.sweeper(days=30, now=time.time).sweep()
    await ends.endings("default", run, SUCCEEDED)

    await ends.sweeper(days=30, now=lambda: time.time() + 29 * DAY_S).sweep()

    assert await Requests(objects, SecretSeal(SECRET)).find("default", run) is not None


async def test_the_callback_of_a_run_that_was_open_for_long_outlives_the_sweep_at_its_end(tmp_path: Path) -> None:
    ends, run = await accepted(service(objects=open_objects(str(tmp_path))), callback_url=URL)
    long_ago = time.time() - 40 * DAY_S
    os.utime(tmp_path / "tenants" / "default" / "accepted" / run, (long_ago, long_ago))
    await ends.endings("default", run, SUCCEEDED)

    await ends.sweeper(days=30, now=time.time).sweep()

    assert await ends.requests.find("default", run) is not None
    assert (await ends.deliver(), [url for url, _, _ in ends.posts]) == (1, [URL])


async def test_what_a_run_left_behind_goes_with_its_journal(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    ends = Ends(service(objects=objects))
    for key in ("values/long/x", "values/gone/x", "journals/long.jsonl.gz"):
        await objects.put(f"tenants/default/{key}", b"1")
    long_ago = time.time() - 40 * DAY_S
    for run in ("long", "gone"):
        os.utime(tmp_path / "tenants" / "default" / "values" / run / "x", (long_ago, long_ago))
    kept = ["tenants/default/values/long/x"]

    await ends.sweeper(days=30, now=time.time).sweep()
    assert await keys(objects, "values") == kept
    await ends.sweeper(days=30, now=lambda: time.time() + 31 * DAY_S).sweep()
    assert await keys(objects, "values") == []


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


@pytest.mark.parametrize("value", [0, -1, "7", True, None])
def test_a_retention_that_is_no_amount_is_not_heeded(value: Any) -> None:
    assert Retention().settled({"runs_days": value, "other": 3}) == Retention()
    assert Retention().settled({"runs_days": 2}).runs_days == 2.0
    assert Retention(chats_days=9.0).settled({"chats_days": value}).chats_days == 9.0
    assert Retention().settled({"chats_days": 2}).chats_days == 2.0
