"""What queries in Prometheus's language ask for: which of FlowRay's metrics, by which labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowray.observe.families import COUNTED, LOOKED_UP

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "flowray.json"
_LABELS = {family.name: set(family.labels) for family in (*COUNTED, *LOOKED_UP)}
_NAMED = re.compile(r"(flowray_[a-z_]+)(?:\{([^}]*)\})?")
_ENDS = ("_bucket", "_count", "_sum")
# What Grafana fills in, as a reader who chose nothing has it.
_FILLED = {"$tenant": ".*", "$flow": ".*", "$__rate_interval": "1m", "$__range": "1h"}


def unknown(query: str) -> Sequence[str]:
    """The metrics and labels that a query names and that there are not."""
    found = []
    for name, matchers in _NAMED.findall(query):
        labels = _LABELS.get(_family(name))
        if labels is None:
            found.append(name)
        else:
            found += [f"{name}: {label}" for label in re.findall(r"(\w+)\s*(?:=|!=)", matchers) if label not in labels]
    return found


def _family(name: str) -> str:
    return next((name.removesuffix(end) for end in _ENDS if name.removesuffix(end) in _LABELS), name)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One query of the dashboard, with what Grafana fills in, and the labels that its legend names."""

    panel: str
    query: str
    legend: frozenset[str]

    @property
    def labels(self) -> frozenset[str]:
        """What tells its series apart: what it groups by, else all labels of what it asks for."""
        grouped = re.findall(r"by \(([^)]*)\)", self.query)
        if grouped:
            return frozenset.intersection(*(frozenset(re.findall(r"\w+", names)) for names in grouped))
        return frozenset.union(*(frozenset(_LABELS[_family(name)]) for name, _ in _NAMED.findall(self.query)))


def dashboard() -> Mapping[str, Any]:
    """The one that comes with FlowRay."""
    found: Mapping[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def shown() -> Iterator[Shown]:
    """All that the dashboard asks."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in _FILLED.items():
                query = query.replace(name, value)
            legend = frozenset(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield Shown(panel=panel["title"], query=query, legend=legend)
