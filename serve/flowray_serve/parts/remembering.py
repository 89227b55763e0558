"""Steps whose results may be used again."""

from __future__ import annotations

from typing import Any

from flowray.engine.cached import CachedSteps
from flowray.engine.ports import Steps
from flowray.stores.objects import ObjectStore
from flowray.stores.redis_results import RedisResults


def remembering(steps: Steps, redis: Any, objects: ObjectStore, *, secret: bytes) -> CachedSteps:
    """Return the steps with a memory for those of their results that flows want kept."""
    return CachedSteps(steps, RedisResults(redis, objects), secret=secret)
