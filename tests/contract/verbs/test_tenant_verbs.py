"""Verbs of tenants and their keys against a service over a real connection: what they print, and how they end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from tests.contract.verbs.command_line import Terminal, flowray
from tests.unit.serve.service import KEYS_BY_ROLE

TENANTS = """
tenants:
  acme: {keys: {ci: {roles: [runner]}}}
  globex: {keys: {ci: {roles: [runner]}}}
"""


def test_keys_that_were_made_before_a_failure_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])

    assert flowray(monkeypatch, "apply", str(tmp_path / "tenants.yaml"), "--yes", "--json") == 2

    said = json.loads(capsys.readouterr().out)
    assert [key["tenant"] for key in said["keys"]] == ["acme"]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_tenants_are_not_changed_where_nobody_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    monkeypatch.setattr("sys.stdin", Terminal() if more else StringIO("y\n"))

    assert flowray(monkeypatch, "apply", str(tmp_path / "tenants.yaml"), *more) == 2

    assert "give --yes" in capsys.readouterr().err


def test_one_tenant_is_asked_about_in_the_singular(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tenants.yaml").write_text("tenants:\n  acme: {}\n")
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))

    assert flowray(monkeypatch, "apply", str(tmp_path / "tenants.yaml")) == 1

    said = capsys.readouterr()
    assert "Change 1 tenant?" in said.out + said.err


def test_a_tenant_that_has_no_hosts_settled_is_shown_what_that_means(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    assert flowray(monkeypatch, "tenant", "create", "acme") == 0
    assert "all that the pools allow" in capsys.readouterr().out


def test_a_tenants_times_are_for_people_to_read_and_seconds_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    assert flowray(monkeypatch, "tenant", "create", "acme", "--json") == 0
    made = json.loads(capsys.readouterr().out)

    assert flowray(monkeypatch, "tenant", "show", "acme") == 0

    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1)
    told = datetime.strptime(f"{shown['created_at']} UTC", "%Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
    assert told.timestamp() == int(made["created_at"])
    assert shown["changed_at"] == shown["created_at"]
