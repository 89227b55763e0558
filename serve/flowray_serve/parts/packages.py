"""What the pools' images have, and who loads a component because of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from flowray.component.imports import imported_by
from flowray.component.stock import Stock
from flowray.flow.types import Json
from flowray.plan.types import Pool
from flowray.sandbox.image import find_image
from flowray.sandbox.stocktaking import take_stock
from flowray_serve.settings import Settings

Extract = Callable[[str, str], Awaitable[Mapping[str, Json]]]


def stocks_of(settings: Settings) -> Mapping[str, Stock]:
    """Return what each pool's image has, by the pool's name; where images are, which need not be where gateways are."""
    taken: dict[Any, Stock] = {}
    for pool in settings.pools.values():
        if pool.image not in taken:
            taken[pool.image] = take_stock(find_image(pool.image, settings.images))
    return {name: taken[pool.image] for name, pool in settings.pools.items()}


def pools_of(settings: Settings, stocks: Mapping[str, Stock]) -> tuple[Pool, ...]:
    """Return the pools as the planner sees them."""
    # Nothing reserved is nothing said: such a Runner may have all of its machine.
    return tuple(
        Pool(
            name=name,
            cpu=pool.cpu or None,
            memory_mib=pool.memory_mib or None,
            gpu=pool.gpu,
            stock=stocks.get(name),
            tenants=pool.owners,
        )
        for name, pool in settings.pools.items()
    )


def extract_where_it_loads(runners: Mapping[str, Any], pools: Sequence[Pool]) -> Extract:
    """Return what loads a component's source in a pool that has what it imports; in the first, when none has."""

    async def extract(code: str, name: str) -> Mapping[str, Json]:
        needed = imported_by(code).needed
        has = [pool.name for pool in pools if pool.stock is None or all(map(pool.stock.has, needed))]
        runner = runners[next((pool for pool in has if pool in runners), next(iter(runners)))]
        answer: Mapping[str, Json] = await runner.extract.remote(code, name)
        return answer

    return extract
