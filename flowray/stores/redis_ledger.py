"""The quota ledger in Redis: one script that hears every question, so that the whole cluster has one truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
import redis.asyncio

from flowray.errors import FlowRayError
from flowray.quotas.amounts import Amounts
from flowray.quotas.ledger import LedgerRules, NeverFitsError, Opening, Renewed, Standing
from flowray.quotas.memory_ledger import never_fits
from flowray.quotas.quota import Terms
from flowray.quotas.ticket import Grant, Ticket
from flowray.stores.questions import Question, Questions
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

_SCRIPT = Path(__file__).with_name("ledger.lua").read_text(encoding="utf-8")
_READ_AT_ONCE = 1_000
# Redis serves nobody else meanwhile.
_ASKED_AT_ONCE, _ENDED_AT_ONCE = 8, 4


class RedisLedger:
    """See `flowray.quotas.ledger.Ledger`. `holder` is who asks; without a `clock` the time is Redis's own."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        holder: str,
        *,
        rules: LedgerRules | None = None,
        prefix: str = "flowray:",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._redis = client
        self._holder = holder
        self._base = Keys(prefix).ledger
        self._clock = clock
        self._script = client.register_script(_SCRIPT)
        self._rules = _rules(rules or LedgerRules())
        self._unasked = Questions()
        self._asking: asyncio.Task[None] | None = None

    async def open_run(self, run: str, tenant: str, terms: Terms) -> Opening:
        """See `Ledger`."""
        said = await self._ask("open_run", run=run, tenant=tenant, terms=_terms(terms), of=tenant)
        return cast("Opening", said.decode())

    async def ask(self, ticket: Ticket, terms: Terms) -> Grant | None:
        """See `Ledger`."""
        said = await self._ask("ask", ticket=_ticket(ticket), terms=_terms(terms), of=ticket.tenant)
        if said == b"never":
            raise NeverFitsError(never_fits(ticket))
        return Grant(ticket=ticket.id, load=float(said)) if said else None

    async def end(self, names: Collection[str]) -> None:
        """See `Ledger`."""
        left = list(names)
        await asyncio.gather(
            *(self._ask("end_", names=left[at : at + _ENDED_AT_ONCE]) for at in range(0, len(left), _ENDED_AT_ONCE))
        )

    async def granted(self, *, wait_s: float) -> Sequence[Grant]:
        """See `Ledger`."""
        key = f"{self._base}grants:{self._holder}"
        found: list[bytes] = []
        async with answered(within_s=wait_s + 10.0):
            if wait_s > 0:  # to Redis, 0 is for ever
                first = await cast("Any", self._redis.blpop([key], timeout=wait_s))
                if first is None:
                    return ()
                found.append(first[1])
            found += await cast("Any", self._redis.lpop(key, _READ_AT_ONCE)) or ()
        return [_grant(said) for said in found]

    async def renew(self, *, waiting: Collection[str], holding: Collection[str]) -> Renewed:
        """See `Ledger`."""
        awaited = set(waiting)
        named = awaited.union(holding)
        async with answered():
            # Compared here: a thousand questions within the script would keep everybody else waiting.
            told = await cast("Any", self._redis.smembers(f"{self._base}of:{self._holder}"))
        known = {name.decode() for name in told}
        granted = map(_grant, await self._ask("renew", unnamed=sorted(known - named)))
        return Renewed(
            unknown=tuple(sorted(named - known)),
            granted=tuple(grant for grant in granted if grant.ticket in awaited),
        )

    async def restore(self, tickets: Collection[Ticket], runs: Mapping[str, str]) -> None:
        """See `Ledger`."""
        told = [{"id": run, "tenant": tenant} for run, tenant in runs.items()]
        await self._ask("restore", tickets=[_ticket(one) for one in tickets], runs=told)

    async def set_terms(self, tenant: str, terms: Terms) -> None:
        """See `Ledger`."""
        await self._ask("set_terms", tenant=tenant, terms=_terms(terms))

    async def set_pools(self, pools: Mapping[str, Amounts]) -> None:
        """See `Ledger`."""
        await self._ask("set_pools", pools={pool: list(capacity) for pool, capacity in pools.items()})

    async def inaugurate(self) -> None:
        """See `Ledger`."""
        await self._ask("inaugurate")

    async def standing(self, tenant: str) -> Standing:
        """See `Ledger`."""
        runs, waiting, *held = await self._ask("standing", tenant=tenant)
        return Standing(runs=runs, waiting=waiting, held=Amounts(*held))

    async def turns(self, tenants: Sequence[str], pools: Collection[str]) -> Sequence[str]:
        """See `Ledger`."""
        found = await self._ask("turns", tenants=list(tenants), pools=list(pools))
        finish = dict(zip(tenants, map(float, found), strict=True))
        return sorted(tenants, key=finish.__getitem__)

    async def _ask(self, question: str, *, of: str = "", **facts: Any) -> Any:
        """The answer to a question; those that come while others are under way go together.

        With `of` it asks for something for a tenant: whoever does not wait for the answer any more wants nothing.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._unasked.add(Question(question, orjson.dumps(facts), answer, tenant=of))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="ask the ledger")
        return await answer

    async def _ask_all(self) -> None:
        try:
            while asked := self._unasked.take(_ASKED_AT_ONCE):
                await self._ask_these(asked)
        finally:
            self._asking = None

    async def _ask_these(self, asked: Sequence[Question]) -> None:
        now = "" if self._clock is None else repr(self._clock())
        told = [part for one in asked for part in (one.what, one.facts)]
        try:
            async with answered():
                answers = await self._script([self._base], [now, self._holder, self._rules, *told])
            for one, answer in zip(asked, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)
        except FlowRayError as error:
            for one in asked:
                if not one.answer.done():
                    one.answer.set_exception(error)
        finally:
            for one in asked:
                one.answer.cancel()  # of those that were answered, nothing comes of it


def _rules(rules: LedgerRules) -> bytes:
    return orjson.dumps(
        {
            "fair": rules.fair.fair,
            "patience_s": rules.fair.patience_s,
            "lease_s": rules.lease_s,
            "silence_s": rules.silence_s,
            "quiet_s": rules.quiet_s,
            "slack_s": rules.slack_s,
        }
    )


def _terms(terms: Terms) -> Mapping[str, Any]:
    quota = terms.quota
    return {"version": terms.version, "weight": terms.weight, "runs": quota.most_runs, "most": list(quota.ceiling)}


def _ticket(ticket: Ticket) -> Mapping[str, Any]:
    return {
        "id": ticket.id,
        "tenant": ticket.tenant,
        "pool": ticket.pool,
        "need": list(ticket.need),
        "priority": ticket.priority,
    }


def _grant(said: bytes) -> Grant:
    ticket, _, load = said.decode().rpartition(" ")
    return Grant(ticket=ticket, load=float(load))
