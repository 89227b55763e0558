"""Tells of budgets that are nearly or wholly spent: a line in the log, and the tenant's webhook, once for each.

The webhook is owed like the callback of a run: signed, tried again, and a dead letter in the end.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from flowray.engine.events import RunId
from flowray.errors import FlowRayError
from flowray.quotas.budget import Budgets, Finding
from flowray.stores.notices import Notice, NoticeRecords
from flowray.stores.redis import answered
from flowray_serve.admission.spending import notice
from flowray_serve.queueing.owing import Owing

log = logging.getLogger(__name__)
_REMEMBERED_S = 40 * 86_400
# Whoever notes it first has this long to owe it; one that dies before leaves it to the next.
_CLAIMED_S = 30


class Notices:
    """Whichever replica notes first that something is to be told sees to it."""

    def __init__(self, redis: Any, records: NoticeRecords, owing: Owing, *, prefix: str = "flowray:") -> None:
        self._redis = redis
        self._records = records
        self._owing = owing
        self._prefix = prefix

    async def tell(self, tenant: str, budgets: Budgets, finding: Finding) -> None:
        """Tell of a finding, unless that was done."""
        name = _name(finding)
        key = f"{self._prefix}{tenant}:told:{name}"
        try:
            async with answered():
                is_first = await self._redis.set(key, 1, nx=True, ex=_CLAIMED_S)
            if not is_first:
                return
            facts = {"action": f"budget_{finding.level}", "tenant": tenant, **asdict(finding)}
            log.warning("Budget %s", finding.level, extra=facts)
            if budgets.webhook:
                said = dict(notice(tenant, finding))
                await self._records.keep(tenant, Notice(name=name, url=budgets.webhook, said=said))
                await self._owing.add(tenant, RunId(name))
            async with answered():
                await self._redis.set(key, 1, ex=_REMEMBERED_S)
        except FlowRayError as error:
            log.warning("Budget not told", extra={"action": "notice_failed", "tenant": tenant, "reason": error.message})


def _name(finding: Finding) -> str:
    """One budget in one span at one height: raised, it is told of again."""
    most = f"{finding.most:.6f}".rstrip("0").rstrip(".")
    return f"budget-{finding.span}-{finding.period}-{finding.measure}-{finding.level}-{most}"
