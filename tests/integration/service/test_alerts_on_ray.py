"""Somebody is woken by a name: a real Prometheus reads a running service, and says which node of which flow fails."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from tests.kit.door import Door, Refused
from tests.kit.probes import probe, probe_node, source
from tests.kit.prometheus import Prometheus, running_prometheus
from tests.kit.queries import Shown, shown
from tests.kit.reference import Reference
from tests.kit.service import Service

_WITHIN_S = 150
_FAILURES = 4
Series = Sequence[tuple[Mapping[str, str], float]]
# Nothing was given up, no model was called and nobody has a quota while one flow fails.
_NOTHING_TO_SHOW = {"Given up", "Tokens per minute", "Share of the quota in use", "Connections out of sandboxes"}


def alert(prometheus: Prometheus, name: str) -> Mapping[str, Any]:
    """The first of this name that fires."""
    patience_ends = time.monotonic() + _WITHIN_S
    while time.monotonic() < patience_ends:
        for one in prometheus.alerts():
            if one["labels"]["alertname"] == name and one["state"] == "firing":
                return one
        time.sleep(1)
    raise AssertionError(prometheus.alerts())


def test_a_node_that_fails_raises_an_alert_with_tenant_flow_and_node(
    service: Service, door: Door, reference: Reference
) -> None:
    made = service.flowray("key", "create", "--role", "observer", "--name", "prometheus")
    assert made.returncode == 0, made.stderr
    flow = probe(reference, source(body="raise RuntimeError('out of tea')")) | {"name": "Tea party"}
    flow_id = door.publish(flow)

    with running_prometheus(service.url.removeprefix("http://"), made.stdout.strip()) as prometheus:
        for _ in range(_FAILURES):
            with pytest.raises(Refused):
                door.run(flow_id, "hello")
        fired = alert(prometheus, "FlowFails")
        ((_, runners),) = prometheus.series('flowray_runners{pool="default"}')
        told = {(one.panel, one.query): (one, prometheus.series(one.query)) for one in shown()}

    named = {name: fired["labels"][name] for name in ("tenant", "flow", "flow_id", "node", "kind", "severity")}
    assert named == {
        "tenant": "default",
        "flow": "Tea party",
        "flow_id": flow_id,
        "node": probe_node(flow),
        "kind": "component",
        "severity": "page",
    }
    assert f"default: flow Tea party fails at node {probe_node(flow)} (component)" in fired["annotations"]["summary"]
    assert runners >= 1
    _assert_shown(told.values())


def _assert_shown(told: Collection[tuple[Shown, Series]]) -> None:
    """The dashboard tells of the flow that failed."""
    without = {one.panel for one, series in told if not series}
    assert without <= _NOTHING_TO_SHOW, without - _NOTHING_TO_SHOW
    (failed,) = (series for one, series in told if one.panel == "Nodes that failed runs")
    assert "Tea party" in {labels["flow"] for labels, _ in failed}
