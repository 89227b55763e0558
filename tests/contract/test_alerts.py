"""The alerts that come with FlowRay, as Prometheus's own tool sees them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowray.engine.failures import RunFailedError
from flowray.errors import UnauthorizedError
from tests.kit.prometheus import DEPLOY, tool
from tests.kit.queries import unknown

RULES: Sequence[Mapping[str, Any]] = [
    rule for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]


def promtool(*words: str, within: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *words], cwd=within, capture_output=True, text=True, check=False)


def test_the_alerts_fire_when_they_should_and_name_whom_they_should() -> None:
    done = promtool("test", "rules", "alerts.test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_that_named_no_node_would_be_noticed(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path, dirs_exist_ok=True)
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(
        alerts.read_text().replace("(tenant, flow, flow_id, node, kind)", "(tenant, flow, flow_id, kind)")
    )
    assert promtool("test", "rules", "alerts.test.yaml", within=tmp_path).returncode != 0


def test_what_is_said_of_scraping_can_be_read(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path, dirs_exist_ok=True)
    (tmp_path / "flowray.key").write_text("fr-key")
    scrape = tmp_path / "scrape.yaml"
    scrape.write_text(scrape.read_text().replace("/etc/prometheus/flowray.key", str(tmp_path / "flowray.key")))
    done = promtool("check", "config", "scrape.yaml", within=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_and_labels_that_there_are(rule: Mapping[str, Any]) -> None:
    assert not unknown(rule["expr"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_urgent_it_is_and_what_to_do(rule: Mapping[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


def codes_in(alert: str, matcher: str) -> set[str]:
    """The codes that an alert takes in or leaves out."""
    (rule,) = (rule for rule in RULES if rule["alert"] == alert)
    return set(re.search(rf'code{matcher}"([^"]+)"', rule["expr"])[1].split("|"))  # type: ignore[index]  # it is there


def test_keys_that_are_refused_are_all_that_let_nobody_in() -> None:
    import_module("flowray_serve.routes.application")  # and with it the errors that it knows
    errors: Sequence[type[UnauthorizedError]] = (UnauthorizedError, *UnauthorizedError.__subclasses__())
    assert codes_in("KeysAreRefused", "=~") == {error.code for error in errors}


def test_errors_of_the_service_are_all_but_those_of_flows() -> None:
    for module in ("flowray_serve.routes.application", "flowray_serve.admission.runs"):
        import_module(module)  # and with it the failures that it knows
    failures: Sequence[type[RunFailedError]] = (RunFailedError, *RunFailedError.__subclasses__())
    of_flows = {failure.code for failure in failures if failure.status >= 500}
    assert codes_in("ServiceErrors", "!~") == of_flows - {"runner_lost", "runner_unavailable"}
