"""Work on many runs of which one must not keep the others waiting."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flowray.errors import StoreUnavailableError

log = logging.getLogger(__name__)


@contextmanager
def one_of_many(failed: str, *, tenant: str, run: str) -> Iterator[None]:
    """Say that this `failed`, and go on; a store that is away is away for all of them, and is raised."""
    try:
        yield
    except StoreUnavailableError:
        raise
    except Exception:
        log.exception(failed, extra={"action": "one_failed", "tenant": tenant, "run": run})
