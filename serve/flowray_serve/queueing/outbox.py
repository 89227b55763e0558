"""What is owed, by its name: the end of a run, or a notice to its tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from flowray.engine.accepted import Accepted
from flowray.engine.codec import dumps
from flowray.engine.events import RunId
from flowray.stores.notices import Notice, NoticeRecords
from flowray.stores.requests import Requests

Tell = Callable[[Accepted], Awaitable[bytes]]


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message that is to be posted. `body` makes its text, only when it goes out."""

    name: str
    url: str
    body: Callable[[], Awaitable[bytes]]
    what: Literal["callback", "notice"]
    flow: str = ""
    flow_name: str = ""


class Outbox:
    """Finds messages. `tell` makes the body that says how a run ended."""

    def __init__(self, requests: Requests, notices: NoticeRecords, *, tell: Tell) -> None:
        self._requests = requests
        self._notices = notices
        self._tell = tell

    async def find(self, tenant: str, name: str) -> Outgoing | None:
        """The message with this name; None when nobody is to be told of it any more."""
        notice = await self._notices.find(tenant, name)
        if notice is not None:
            return Outgoing(name=name, url=notice.url, body=partial(_said, notice), what="notice")
        accepted = await self._requests.find(tenant, RunId(name))
        url = str(accepted.facts.get("callback") or "") if accepted is not None else ""
        if accepted is None or not url:
            return None
        return Outgoing(
            name=accepted.request.run,
            url=url,
            body=partial(self._tell, accepted),
            what="callback",
            flow=accepted.request.flow_id,
            flow_name=accepted.request.flow.name,
        )


async def _said(notice: Notice) -> bytes:
    return dumps(notice.said)
