"""What is settled for a tenant's share, read from its settings: every field checked, an unknown one refused."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from flowray.errors import InvalidRequestError
from flowray.quotas.budget import MEASURES, Budget, Budgets
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.rate import CLASSES, Rate, rate_of

_COUNTS = frozenset({"runs", "queued", "steps", "memory_mib", "stored_mib", "flows"})
_QUOTA = tuple(field.name for field in fields(Quota))
LARGEST = 2**50
_WEIGHTS = (0.01, 100.0)


def terms_of(settled: Mapping[str, Any], defaults: Quota, *, version: int = 0) -> Terms:
    """The terms of a tenant whose `quotas` are these; what they leave open is the default, null lifts a limit."""
    own = {name: _amount(name, settled[name]) for name in _QUOTA if name in settled}
    return Terms(quota=replace(defaults, **own), weight=float(settled.get("weight", 1.0)), version=version)


def rates_of(settled: Mapping[str, Any], defaults: Mapping[str, Rate]) -> Mapping[str, Rate]:
    """The rate limits by route class."""
    return {**defaults, **{name: rate_of(text) for name, text in settled.get("rates", {}).items()}}


def budgets_of(settled: Mapping[str, Any]) -> Budgets:
    """The budgets of a tenant whose `budgets` are these."""
    spans = {span: Budget(most=dict(settled.get(span, {}))) for span in ("day", "month")}
    return Budgets(**spans, warn_at=settled.get("warn_at", Budgets().warn_at), webhook=settled.get("webhook", ""))


def check_quotas(place: str, settled: Mapping[str, Any]) -> Mapping[str, Any]:
    """`quotas` as they may be settled; `InvalidRequestError` names what is wrong."""
    _known(place, settled, (*_QUOTA, "weight", "rates"))
    for name in _QUOTA:
        if name in settled:
            _amount(f"{place}.{name}", settled[name], whole=name in _COUNTS)
    if "weight" in settled and not _WEIGHTS[0] <= _number(f"{place}.weight", settled["weight"]) <= _WEIGHTS[1]:
        raise InvalidRequestError(f"{place}.weight must be from {_WEIGHTS[0]} to {_WEIGHTS[1]}.")
    rates = settled.get("rates", {})
    if not isinstance(rates, Mapping):
        raise InvalidRequestError(f'{place}.rates must be a mapping such as {{"run": "100/s"}}.')
    _known(f"{place}.rates", rates, CLASSES)
    for text in rates.values():
        rate_of(text)
    return settled


def check_budgets(place: str, settled: Mapping[str, Any]) -> Mapping[str, Any]:
    """`budgets` as they may be settled; `InvalidRequestError` names what is wrong."""
    _known(place, settled, ("day", "month", "warn_at", "webhook"))
    for span in ("day", "month"):
        most = settled.get(span, {})
        if not isinstance(most, Mapping):
            raise InvalidRequestError(f'{place}.{span} must be a mapping such as {{"tokens": 1000000}}.')
        _known(f"{place}.{span}", most, MEASURES)
        for name, amount in most.items():
            _number(f"{place}.{span}.{name}", amount)
    if not 0 < _number(f"{place}.warn_at", settled.get("warn_at", 0.8)) <= 1:
        raise InvalidRequestError(f"{place}.warn_at must be above 0 and at most 1: a part of the budget.")
    webhook = settled.get("webhook", "")
    if not isinstance(webhook, str) or (webhook and not webhook.startswith(("https://", "http://"))):
        raise InvalidRequestError(f"{place}.webhook must be an http or https address.")
    return settled


def _amount(place: str, value: Any, *, whole: bool = False) -> Any:
    if value is None:
        return None
    number = _number(place, value)
    if whole and number != int(number):
        raise InvalidRequestError(f"{place} must be a whole number, or null for no limit.")
    return int(number) if whole else value


def _number(place: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRequestError(f"{place} must be a number.")
    if not 0 <= value <= LARGEST:
        raise InvalidRequestError(f"{place} must be 0 or more, and no larger than 2^50.")
    return float(value)


def _known(place: str, settled: Mapping[str, Any], names: Collection[str]) -> None:
    for name in settled:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"There are {', '.join(names)}."
            raise InvalidRequestError(f"{place}: `{name[:80]}` cannot be settled. {hint}")
