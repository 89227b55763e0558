"""Tells those who asked for it, of a run's end or a budget: a signed POST, tried again with pauses, then given up.

Signatures are those of Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp` and
`webhook-signature`, an HMAC-SHA256 over `id.timestamp.body`, so that its libraries check them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flowray.errors import FlowRayError, StoreUnavailableError
from flowray.stores.dead_letters import DeadLetter, DeadLetters
from flowray.stores.due import Due
from flowray_serve.queueing.outbox import Outbox, Outgoing
from flowray_serve.queueing.owing import Owing

log = logging.getLogger(__name__)

_AT_ONCE, _OF_ONE_TENANT = 32, 4
_OK, _MULTIPLE = 200, 300


class CallbackRefusedError(FlowRayError):
    """The callback was not taken."""

    code = "callback_refused"
    fault = "caller"


class Post(Protocol):
    """Sends a POST to where it may go."""

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer; `FlowRayError` when there is none."""


@dataclass(frozen=True, kw_only=True)
class Persistence:
    """How often a callback is tried, and the pauses between."""

    tries: int = 8
    first_pause_s: float = 2.0
    longest_pause_s: float = 600.0
    attempt_s: float = 15.0
    look_every_s: float = 0.5

    def pause_s(self, tries: int) -> float:
        """The pause after so many tries, spread so that a host that comes back is not run over."""
        longest = min(self.longest_pause_s, self.first_pause_s * 2.0 ** (tries - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - to spread, not to hide


class Callbacks:
    """Delivers what is due."""

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        owing: Owing,
        outbox: Outbox,
        letters: DeadLetters,
        post: Post,
        *,
        secret: bytes,
        persistence: Persistence | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._owing = owing
        self._outbox = outbox
        self._letters = letters
        self._post = post
        self._secret = secret
        self._persistence = persistence or Persistence()
        self._clock = clock

    async def work(self) -> None:
        """Deliver, until cancelled. A tenant whose receivers are slow has few under way, and holds up only its own."""
        under_way: dict[asyncio.Task[None], str] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                taken = await self._take(under_way.values())
                for one in taken:
                    task = tasks.create_task(self._deliver(one), name=f"callback of {one.run}")
                    under_way[task] = one.tenant
                    task.add_done_callback(under_way.pop)
                if not taken:
                    await self._pause(under_way)

    async def _take(self, under_way: Collection[str]) -> Sequence[Due]:
        """What is due and may go out beside what is under way, which is said by its tenants."""
        full = [tenant for tenant, count in Counter(under_way).items() if count >= _OF_ONE_TENANT]
        try:
            return await self._owing.take(
                limit=_AT_ONCE - len(under_way), for_s=2 * self._persistence.attempt_s, passing=full
            )
        except FlowRayError as error:
            _say(error)
            return ()

    async def _pause(self, under_way: Collection[asyncio.Task[None]]) -> None:
        """Wait until there may be something to do."""
        pause_s = self._persistence.look_every_s
        if under_way:
            await asyncio.wait(under_way, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(pause_s)

    async def _deliver(self, due: Due) -> None:
        try:
            await self.deliver(due)
        except FlowRayError as error:
            _say(error)

    async def deliver(self, due: Due) -> None:
        """Try one callback. Whatever breaks on it is a failed try of its own; the others go on."""
        try:
            outgoing = await self._outbox.find(due.tenant, due.run)
        except StoreUnavailableError:
            raise
        except Exception as error:
            log.exception("A callback cannot be read", extra={"action": "callback_broken", **_facts(due)})
            await self._again(due, None, f"It cannot be read: {error}")
            return
        if outgoing is None:
            await self._gone(due)
            return
        reason = await self._refusal(due, outgoing)
        if reason is not None:
            await self._again(due, outgoing, reason)
            return
        await self._owing.settle(due)

    async def _gone(self, due: Due) -> None:
        """Nobody knows any more what it was to say, or to whom: whoever waits for it learns that from a dead letter."""
        if await self._owing.is_owed(due):
            await self._give_up(due, None, "What it was to say is no longer kept.")
        else:
            await self._owing.settle(due)

    async def _refusal(self, due: Due, outgoing: Outgoing) -> str | None:
        """Why it was not taken; None when it was."""
        try:
            await self._try(due.tenant, outgoing)
        except FlowRayError as error:
            return error.message
        except Exception as error:
            log.exception("A callback cannot be sent", extra={"action": "callback_broken", **_facts(due)})
            return f"It cannot be sent: {error!r}"
        return None

    async def _try(self, tenant: str, outgoing: Outgoing) -> None:
        body = await outgoing.body()
        headers = signed(outgoing.name, body, at=int(self._clock()), key=callback_key(self._secret, tenant))
        try:
            async with asyncio.timeout(self._persistence.attempt_s):
                status = await self._post(outgoing.url, body, headers)
        except TimeoutError as cause:
            raise CallbackRefusedError(f"No answer within {self._persistence.attempt_s:g} s.") from cause
        if not _OK <= status < _MULTIPLE:
            raise CallbackRefusedError(f"It was answered with {status}.")

    async def _again(self, due: Due, outgoing: Outgoing | None, reason: str) -> None:
        log.info("Callback not taken", extra={"action": "callback_not_taken", "reason": reason, **_facts(due)})
        if due.tries < self._persistence.tries:
            await self._owing.later(due, in_s=self._persistence.pause_s(due.tries))
        else:
            await self._give_up(due, outgoing, f"{due.tries} tries: {reason}")

    async def _give_up(self, due: Due, outgoing: Outgoing | None, reason: str) -> None:
        what = outgoing.what if outgoing else "callback"
        letter = DeadLetter(
            run=due.run,
            what=what,
            flow=outgoing.flow if outgoing else "",
            flow_name=outgoing.flow_name if outgoing else "",
            kind=what,
            reason=reason,
            at=self._clock(),
        )
        await self._letters.add(due.tenant, letter)
        await self._owing.settle(due)


def _say(error: FlowRayError) -> None:
    log.warning("Callbacks not delivered", extra={"action": "callbacks_failed", "reason": error.message})


def _facts(due: Due) -> Mapping[str, object]:
    return {"tenant": due.tenant, "run": due.run, "tries": due.tries}


def callback_key(secret: bytes, tenant: str) -> bytes:
    """The key that a tenant's callbacks are signed with: its own, and the same after every restart."""
    return hmac.new(secret, f"callbacks of {tenant}".encode(), hashlib.sha256).digest()


def spoken_key(secret: bytes, tenant: str) -> str:
    """The key as Standard Webhooks' libraries take it."""
    return f"whsec_{base64.b64encode(callback_key(secret, tenant)).decode()}"


def signed(message: str, body: bytes, *, at: int, key: bytes) -> Mapping[str, str]:
    """The headers of a callback."""
    content = b".".join((message.encode(), str(at).encode(), body))
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "user-agent": "flowray-callback",
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
