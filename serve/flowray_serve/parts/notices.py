"""Tells of budgets that are nearly or wholly spent: a line in the log, and the tenant's webhook, once for each."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from flowray.engine.codec import dumps
from flowray.errors import FlowRayError
from flowray.quotas.budget import Budgets, Finding
from flowray.stores.redis import answered
from flowray_serve.admission.spending import notice
from flowray_serve.queueing.callbacks import Post

log = logging.getLogger(__name__)
_REMEMBERED_S = 40 * 86_400


class Notices:
    """Whichever replica notes first that something is to be told tells it."""

    def __init__(self, redis: Any, post: Post, *, prefix: str = "flowray:") -> None:
        self._redis = redis
        self._post = post
        self._prefix = prefix

    async def tell(self, tenant: str, budgets: Budgets, finding: Finding) -> None:
        """Tell of a finding, unless that was done."""
        try:
            if not await self._is_first(tenant, finding):
                return
            facts = {"action": f"budget_{finding.level}", "tenant": tenant, **asdict(finding)}
            log.warning("Budget %s", finding.level, extra=facts)
            if budgets.webhook:
                body = dumps(notice(tenant, finding))
                await self._post(budgets.webhook, body, {"content-type": "application/json"})
        except FlowRayError as error:
            log.warning("Budget not told", extra={"action": "notice_failed", "tenant": tenant, "reason": error.message})

    async def _is_first(self, tenant: str, finding: Finding) -> bool:
        said = f"{finding.span}:{finding.period}:{finding.measure}:{finding.level}"
        async with answered():
            key = f"{self._prefix}{tenant}:told:{said}"
            return bool(await self._redis.set(key, 1, nx=True, ex=_REMEMBERED_S))
