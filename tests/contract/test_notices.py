"""Notices of budgets: owed once by however many replicas note them, and again when the budget is another one."""

from __future__ import annotations

import asyncio

import redis.asyncio

from flowray.quotas.budget import Budgets, Finding
from flowray.stores.notices import NoticeRecords
from flowray.stores.objects import open_objects
from flowray_serve.parts.notices import Notices
from flowray_serve.parts.upkeep import owing_of

URL = "https://ops.acme.example/budget"
BUDGETS = Budgets(webhook=URL)


def spent(most: float = 100.0) -> Finding:
    return Finding(level="spent", span="day", period="2026-11-25", measure="tokens", used=most, most=most)


async def test_what_several_replicas_note_is_owed_once_and_a_raised_budget_again(valkey: redis.asyncio.Redis) -> None:
    objects = open_objects("memory:")
    records, owing = NoticeRecords(objects), owing_of(valkey, objects)
    replicas = [Notices(valkey, records, owing) for _ in range(3)]

    await asyncio.gather(*(one.tell("acme", BUDGETS, spent()) for one in replicas))
    (due,) = await owing.take(limit=9, for_s=60)
    await owing.settle(due)
    await asyncio.gather(*(one.tell("acme", BUDGETS, spent()) for one in replicas))
    assert await owing.take(limit=9, for_s=60) == []

    await replicas[0].tell("acme", BUDGETS, spent(200.0))
    (again,) = await owing.take(limit=9, for_s=60)
    notice = await records.find("acme", again.run)
    assert notice is not None
    assert (notice.url, notice.said["type"], notice.said["data"]["most"]) == (URL, "budget.spent", 200.0)
    assert again.run != due.run


async def test_without_a_webhook_nothing_is_owed(valkey: redis.asyncio.Redis) -> None:
    objects = open_objects("memory:")
    owing = owing_of(valkey, objects)

    await Notices(valkey, NoticeRecords(objects), owing).tell("acme", Budgets(), spent())

    assert await owing.take(limit=9, for_s=60) == []
