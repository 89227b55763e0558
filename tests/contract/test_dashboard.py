"""The dashboard that comes with FlowRay, without a Grafana: what it asks and where it puts it."""

from __future__ import annotations

import json
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.kit.prometheus import tool
from tests.kit.queries import Shown, dashboard, shown, unknown

SHOWN = tuple(shown())
PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("one", SHOWN, ids=lambda one: one.panel)
def test_a_panel_asks_for_metrics_and_labels_that_there_are(one: Shown) -> None:
    assert "flowray_" in one.query
    assert not unknown(one.query)
    assert one.legend <= one.labels


def test_prometheus_reads_all_queries(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": one.query} for number, one in enumerate(SHOWN)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [tool("promtool"), "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_variables_ask_for_labels_that_there_are_and_queries_use_no_others() -> None:
    names = {variable["name"] for variable in dashboard()["templating"]["list"]}
    assert names == {"datasource", "tenant", "flow"}
    assert all("$" not in one.query for one in SHOWN)


def test_each_panel_has_a_title_and_an_id_of_its_own_and_lies_on_no_other() -> None:
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations((panel["gridPos"] for panel in dashboard()["panels"]), 2):
        assert not (_overlap(one, other, "x", "w") and _overlap(one, other, "y", "h")), (one, other)
        assert one["x"] + one["w"] <= 24


def _overlap(one: dict[str, Any], other: dict[str, Any], begin: str, size: str) -> bool:
    return bool(one[begin] < other[begin] + other[size] and other[begin] < one[begin] + one[size])
