"""Who answers Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowray.observe.totals import Totals
from flowray.stores.places import RedisPlaces
from flowray_serve.metrics.exposition import Exposition
from flowray_serve.metrics.samples import Queues, Samples
from flowray_serve.parts.sharing import Sharing


def exposition(totals: Totals, sharing: Sharing, queues: Queues, redis: Any, *, version: str) -> Exposition:
    """Everything that is measured: what was counted, and what goes on."""

    async def tenants() -> Sequence[str]:
        return [one.id for one in await sharing.tenants.list()]

    samples = Samples(
        tenants=tenants,
        standing=sharing.ledger.standing,
        terms=sharing.settled.terms,
        queues=queues,
        runners=RedisPlaces(redis),
        pools=tuple(sharing.settings.pools),
        version=version,
    )
    return Exposition(totals=totals, samples=samples)
