"""Whose callbacks are under way, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from flowray.engine.events import RunId
from flowray.errors import StoreUnavailableError
from flowray.stores.due import Due
from flowray.stores.notices import Notice
from tests.unit.serve.ends import Ends
from tests.unit.serve.service import service

TARPIT, PROMPT = "https://tarpit.example.org/", "https://prompt.example.org/"


class Receivers(Ends):
    """One receiver that takes its time, and another that does not."""

    def __init__(self) -> None:
        super().__init__(service())
        self.taken: asyncio.Queue[str] = asyncio.Queue()
        self.let_go = asyncio.Event()
        self.stuck = 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        if url == TARPIT:
            self.stuck += 1
            await self.let_go.wait()
        self.taken.put_nowait(headers["webhook-id"])
        return 204

    async def owe(self, tenant: str, url: str, count: int) -> None:
        for number in range(count):
            name = f"{tenant}-{number}"
            await self.notices.keep(tenant, Notice(name=name, url=url, said={}))
            await self.owing.add(tenant, RunId(name))

    async def names(self, count: int) -> set[str]:
        async with asyncio.timeout(5):
            return {await self.taken.get() for _ in range(count)}


@asynccontextmanager
async def delivering(ends: Ends) -> AsyncIterator[None]:
    task = asyncio.create_task(ends.callbacks().work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_tenant_whose_receiver_is_a_tarpit_holds_up_no_other() -> None:
    ends = Receivers()
    await ends.owe("acme", TARPIT, 40)
    await ends.owe("globex", PROMPT, 20)

    async with delivering(ends):
        assert await ends.names(20) == {f"globex-{number}" for number in range(20)}
        assert ends.stuck == 4


async def test_a_tenant_whose_receiver_answers_again_gets_all_that_it_is_owed() -> None:
    ends = Receivers()
    await ends.owe("acme", TARPIT, 12)

    async with delivering(ends):
        ends.let_go.set()
        assert await ends.names(12) == {f"acme-{number}" for number in range(12)}


async def test_a_store_that_is_away_for_a_moment_does_not_end_the_delivery_of_the_others() -> None:
    ends = Receivers()
    await ends.owe("acme", PROMPT, 1)
    await ends.owe("globex", PROMPT, 1)
    settle = ends.owing.settle

    async def settled(due: Due) -> None:
        if due.tenant == "acme":
            raise StoreUnavailableError("It is away.")
        await settle(due)

    ends.owing.settle = settled  # type: ignore[method-assign]

    async with delivering(ends):
        await ends.names(2)
        await ends.owe("initech", PROMPT, 1)
        assert await ends.names(1) == {"initech-0"}
