"""Tenants of a running service: told to the command line, kept apart by keys, put on record."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.kit.service import Service


@pytest.fixture
def name() -> str:
    return f"t{secrets.token_hex(6)}"


def said(service: Service, *words: str) -> str:
    done = service.flowray(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_of_tenants_is_applied_once_and_shows_what_it_would_do(
    service: Service, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "tenants.yaml"
    file.write_text(f"tenants:\n  {name}:\n    name: Acme\n    egress: [api.openai.com]\n")

    assert f"+ {name}" in said(service, "apply", str(file), "--dry-run")
    assert service.flowray("tenant", "show", name).returncode == 2
    said(service, "apply", str(file), "--yes")

    assert said(service, "apply", str(file), "--yes").strip() == "Nothing to change."
    assert json.loads(said(service, "tenant", "show", name, "--json"))["egress"] == ["api.openai.com"]


def test_a_key_works_until_it_is_revoked_or_its_tenant_is_suspended(service: Service, name: str) -> None:
    said(service, "tenant", "create", name)
    made = json.loads(said(service, "key", "create", "--tenant", name, "--role", "viewer", "--json"))
    with service.client(made["api_key"]) as http:
        assert http.get("/api/v1/runs").status_code == 200
        assert http.post("/api/v1/flows/", json={}).json()["code"] == "forbidden"
        said(service, "key", "settle", made["id"], "--tenant", name, "--role", "editor")
        assert http.post("/api/v1/flows/", json={}).json()["code"] == "invalid_request"
        said(service, "tenant", "suspend", name)
        assert http.get("/api/v1/runs").json()["code"] == "tenant_suspended"
        said(service, "tenant", "resume", name)
        assert http.get("/api/v1/runs").status_code == 200
        said(service, "key", "revoke", made["id"], "--tenant", name)
        assert http.get("/api/v1/runs").json()["code"] == "unauthorized"


def test_what_was_done_is_on_record_and_a_changed_record_is_found(service: Service, name: str, tmp_path: Path) -> None:
    said(service, "tenant", "create", name)
    said(service, "key", "create", "--tenant", name)
    assert said(service, "audit", "verify", "--tenant", "SERVICE").strip() == "The log is whole."

    export = tmp_path / "audit.jsonl"
    export.write_text(said(service, "audit", "export", "--tenant", "SERVICE"))

    assert name in export.read_text()
    assert service.flowray("audit", "verify", str(export)).returncode == 0
    export.write_text(export.read_text().replace(name, "somebody"))
    found = service.flowray("audit", "verify", str(export))
    assert found.returncode == 1
    assert "was changed" in found.stdout
