"""The journal of a run that may be an accepted one, which has not gone when the store has lost it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from flowray.engine.events import Recorded, RunId
from flowray.engine.leasing import StoreForgotError
from flowray.engine.ports import Journal
from flowray.errors import NotFoundError
from flowray.stores.requests import Requests


async def read_accepted(
    journal: Journal, requests: Requests, tenant: str, run: RunId, *, after: int = 0, follow: bool = False
) -> AsyncGenerator[Recorded, None]:
    """A run's events as `Journal.read` has them. `NotFoundError` when there is no such run.

    `StoreForgotError` when it was accepted and the store has lost its journal: the record will bring it back.
    """
    try:
        async for one in journal.read(tenant, run, after=after, follow=follow):
            yield one
    except NotFoundError:
        if await requests.find(tenant, run) is None:
            raise
        raise StoreForgotError(f"The journal of run `{run}` is not back from the record yet. Ask again soon.") from None
