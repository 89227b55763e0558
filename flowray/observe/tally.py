"""What was counted since somebody took it: amounts by series."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from math import isfinite
from typing import NamedTuple

from flowray.observe.families import OPEN_LABELS, Family

SUM, COUNT, BEYOND = "sum", "count", "+Inf"


class Series(NamedTuple):
    """One number of a family: `labels` are its labels' values, the first of them the tenant.

    `part` is empty for a counter, else `count`, `sum` or the upper bound of a bucket; a bucket's number is its own, not
    that of all smaller ones as well.
    """

    family: str
    labels: tuple[str, ...]
    part: str = ""

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.labels[0]


class Tally:
    """Amounts to be added. One that is not finite is left out: no sum would ever be a number again."""

    def __init__(self) -> None:
        self.amounts: defaultdict[Series, float] = defaultdict(float)

    def add(self, family: Family, *labels: str, amount: float = 1.0) -> None:
        """Count something."""
        if isfinite(amount):
            self.amounts[Series(family.name, labels)] += amount

    def note(self, family: Family, *labels: str, seconds: float) -> None:
        """Count something that took so long."""
        if not isfinite(seconds):
            return
        seconds = max(seconds, 0.0)
        self.amounts[Series(family.name, labels, SUM)] += seconds
        self.amounts[Series(family.name, labels, bucket(family, seconds))] += 1


def bucket(family: Family, seconds: float) -> str:
    """The part of a family that counts what took so long."""
    if family.kind == "summary":
        return COUNT
    at = bisect_left(family.buckets, seconds)
    return repr(family.buckets[at]) if at < len(family.buckets) else BEYOND


def without_names(series: Series, family: Family) -> Series:
    """The series that counts in its place where there is no room for more names."""
    named = zip(family.labels, series.labels, strict=True)
    return series._replace(labels=tuple("other" if label in OPEN_LABELS else value for label, value in named))
