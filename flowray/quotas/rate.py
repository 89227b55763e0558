"""How often something may be asked: token buckets, one arithmetic for every place where they are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowray.errors import InvalidRequestError

CLASSES = ("run", "read", "write", "key_run", "key_read", "key_write")
"""run: what starts runs. read: what only looks. write: what changes something. With `key_`, of each single key."""

_TEXT = re.compile(r"(\d{1,9}(?:\.\d+)?)/(s|min|h)(?:\+(\d{1,9}))?")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_SMALLEST = 0.0001
_LARGEST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many in so many seconds for long, and at most `burst` at once."""

    amount: float
    per_s: float
    burst: int

    @property
    def each_s(self) -> float:
        """Seconds until one more may come."""
        return self.per_s / self.amount

    @property
    def slack_s(self) -> float:
        """What the sum of a burst may be off by: a clock of today has steps of 2.4e-7 s, and every one is rounded."""
        return min(self.burst * 1e-6, self.each_s / 2)

    @property
    def text(self) -> str:
        """As it is settled: see `rate_of`."""
        unit = next(unit for unit, seconds in _SECONDS.items() if seconds == self.per_s)
        plain = f"{self.amount:.10g}/{unit}"
        return plain if self.burst == max(1, round(self.amount)) else f"{plain}+{self.burst}"

    @property
    def policy(self) -> str:
        """As `RateLimit-Policy` says it: quota and window."""
        return f"q={self.burst};w={max(1, round(self.burst * self.each_s))}"


def rate_of(text: object) -> Rate:
    """The rate that `100/s`, `600/min` or `10/min+50` says: an amount, its time, and what may come at once."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidRequestError(f"`{str(text)[:80]}` is no rate. Say `100/s`, `600/min`, or `10/min+50` for bursts.")
    amount, unit, burst = float(found[1]), found[2], found[3]
    most = int(burst) if burst else max(1, round(amount))
    if not _SMALLEST <= amount <= _LARGEST or not 1 <= most <= _LARGEST:
        said = (
            f"its amount must be at least {_SMALLEST}, what may come at once at least 1, and both at most {_LARGEST:,}."
        )
        raise InvalidRequestError(f"`{str(text)[:80]}` is no rate: {said}")
    return Rate(amount=amount, per_s=_SECONDS[unit], burst=most)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What came of asking a bucket: whether one was there, how many are left, and when the next comes."""

    allowed: bool
    left: int
    again_s: float = 0.0
    full_s: float = 0.0


@dataclass(frozen=True)
class Bucket:
    """A bucket by the moment at which it will be full again: one number, so that one number is all that is kept."""

    full_at: float = 0.0

    def take(self, rate: Rate, now: float) -> tuple[Bucket, Taken]:
        """Take one."""
        full_at = max(self.full_at, now)
        missing_s = full_at - now
        room_s = rate.burst * rate.each_s + rate.slack_s
        if missing_s + rate.each_s > room_s:
            again_s = missing_s - (rate.burst - 1) * rate.each_s
            return self, Taken(allowed=False, left=0, again_s=again_s, full_s=missing_s)
        after = Bucket(full_at + rate.each_s)
        full_s = after.full_at - now
        return after, Taken(allowed=True, left=int((room_s - full_s) / rate.each_s), full_s=full_s)
