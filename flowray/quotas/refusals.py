"""What is said to whoever asks for more than they may have now, and when to ask again."""

from __future__ import annotations

import math
from collections.abc import Mapping

from flowray.errors import FlowRayError


class TooMuchError(FlowRayError):
    """More than is allowed for now; after `retry_after_s` it may be allowed."""

    code = "too_much"
    fault = "caller"
    status = 429

    def __init__(self, message: str, retry_after_s: float = 1.0, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, retry_after_s, headers)
        self.headers = {**(headers or {}), "retry-after": str(max(1, math.ceil(retry_after_s)))}


class QuotaExceededError(TooMuchError):
    """The tenant has as much as its quota allows."""

    code = "quota_exceeded"


class BudgetSpentError(TooMuchError):
    """The tenant has used up what its budget allows in this day or month."""

    code = "budget_spent"


class RateLimitedError(TooMuchError):
    """Asked too often."""

    code = "rate_limited"
