"""What a tenant may use up in a day and in a month, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

Span = Literal["day", "month"]
MEASURES = ("cpu_s", "memory_gib_s", "tokens", "money")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most of each measure in one span; a measure that is not there has no limit."""

    most: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """A tenant's budgets. From `warn_at` of one on a warning is given, once in its span; `webhook` gets it as well."""

    day: Budget = field(default_factory=Budget)
    month: Budget = field(default_factory=Budget)
    warn_at: float = 0.8
    webhook: str = ""

    def __bool__(self) -> bool:
        return bool(self.day.most or self.month.most)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A budget that is nearly or wholly used up. `period` names its day or month, such as 2026-11."""

    level: Literal["warning", "spent"]
    span: Span
    period: str
    measure: str
    used: float
    most: float


def findings(budgets: Budgets, *, used: Mapping[Span, Mapping[str, float]], at: datetime) -> tuple[Finding, ...]:
    """The budgets that call for a word, those that are spent first."""
    found: list[Finding] = []
    spans: tuple[tuple[Span, Budget], ...] = (("day", budgets.day), ("month", budgets.month))
    for span, budget in spans:
        for measure, most in budget.most.items():
            so_far = used.get(span, {}).get(measure, 0.0)
            if so_far < most * budgets.warn_at:
                continue
            found.append(
                Finding(
                    level="spent" if so_far >= most else "warning",
                    span=span,
                    period=period(span, at),
                    measure=measure,
                    used=so_far,
                    most=most,
                )
            )
    return tuple(sorted(found, key=lambda one: one.level))


def period(span: Span, at: datetime) -> str:
    """The day or month of a moment, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d" if span == "day" else "%Y-%m")


def until_next(span: Span, at: datetime) -> float:
    """Seconds until the next day or month begins."""
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    following = midnight + timedelta(days=1) if span == "day" else (midnight.replace(day=1) + timedelta(days=32))
    return ((following if span == "day" else following.replace(day=1)) - at).total_seconds()
