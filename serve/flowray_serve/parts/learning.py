"""What Runners learn of imports, and what operators are told of it."""

from __future__ import annotations

import asyncio
from typing import Any

from flowray.lasting import lasting
from flowray.runner.learning import Learning
from flowray.sandbox.image import Image, find_image
from flowray.stores.import_counts import RedisImportCounts
from flowray_serve.preloading import PoolImage, Preloading
from flowray_serve.settings import Settings


def learning_of(image: Image, client: Any) -> tuple[Learning, asyncio.Task[None]]:
    """Return what counts a Runner's imports, and the work of passing the counts on; cancel it to end it."""
    learning = Learning(image, RedisImportCounts(client))
    return learning, lasting(learning.work, name="pass on imports")


def pool_images(settings: Settings) -> tuple[PoolImage, ...]:
    """Return the pools with their images; where images are, which need not be where gateways are."""
    found = {name: find_image(pool.image, settings.images) for name, pool in settings.pools.items()}
    return tuple(
        PoolImage(
            pool=name,
            image=found[name].name,
            digest=found[name].digest,
            preload=pool.preload,
            settings=pool.model_dump(mode="json", exclude_unset=True),
        )
        for name, pool in settings.pools.items()
    )


def preloading_of(pools: tuple[PoolImage, ...], client: Any) -> Preloading:
    """Return what answers operators."""
    return Preloading(pools, RedisImportCounts(client))
