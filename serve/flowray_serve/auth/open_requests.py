"""How many requests of a tenant one gateway works on at a time, streams among them: no tenant takes all there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from flowray.errors import FlowRayError


class TooManyOpenError(FlowRayError):
    """The tenant has as many requests open here as it may."""

    code = "too_many_open"
    fault = "caller"
    status = 429
    retry_after_s = 1


class OpenRequests:
    """Counts them."""

    def __init__(self, *, per_tenant: int = 128) -> None:
        self._per_tenant = per_tenant
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_of(self, tenant: str) -> Iterator[None]:
        """Count a request for as long as it is open; `TooManyOpenError` when it is one too many."""
        if self._open[tenant] >= self._per_tenant:
            raise TooManyOpenError(
                f"The tenant `{tenant}` has {self._per_tenant} requests open here, as many as it may. End some first."
            )
        self._open[tenant] += 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]
