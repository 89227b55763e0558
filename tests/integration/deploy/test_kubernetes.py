"""What a cluster is given: documents that fit Kubernetes' schemas, and a profile under which the walls can be built.

A pod as ours is made of what this machine has: another user without powers, no new privileges, and the profile itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from tests.kit.confined import LIBRARY

DEPLOY = Path(__file__).parents[3] / "deploy" / "kubernetes"
PROFILE = DEPLOY / "flowray-runner.seccomp.json"
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "runner-pod.yaml").read_text()))
CONFINED = Path(__file__).parents[2] / "kit" / "confined.py"
PROBE = """
import asyncio
from flowray.sandbox.probe import probe
print("\\n".join(f"{found.wall}: {found.ok}" for found in asyncio.run(probe())))
"""
# What it says when walls cannot be built.
REFUSALS = ("user namespaces: False", "jail: False")
AS_ANOTHER = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
# What a runtime's default profile grants to nobody but CAP_SYS_ADMIN.
BUILDING = ("mount", "umount2", "pivot_root", "unshare", "setns", "sethostname")


def walls_under(profile: Path) -> list[str]:
    """What the start-up probe finds in such a pod."""
    command = [*AS_ANOTHER, sys.executable, str(CONFINED), str(profile), sys.executable, "-c", PROBE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.split("\n")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document["kind"]))
@pytest.mark.parametrize("version", ["1.33", "1.36"])
def test_the_documents_fit_the_schemas_of_kubernetes(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_the_pod_gives_its_process_nothing_to_misuse() -> None:
    spec = DOCUMENTS[0]["spec"]
    (container,) = spec["containers"]

    assert (spec["hostUsers"], spec["automountServiceAccountToken"]) == (False, False)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"]["localhostProfile"] == PROFILE.name
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_apparmor_profile_is_the_one_that_the_pod_names_and_grants_what_the_walls_need() -> None:
    text = (DEPLOY / "flowray-runner.apparmor").read_text()
    rules = {line.strip() for line in text.split("\n")}

    assert f"profile {DOCUMENTS[0]['spec']['securityContext']['appArmorProfile']['localhostProfile']} " in text
    assert {"userns,", "mount,", "umount,", "pivot_root,"} <= rules


@pytest.mark.skipif(LIBRARY is None, reason="libseccomp is not on this machine")
def test_all_walls_stand_in_a_pod_with_our_profile() -> None:
    assert "jail: True" in walls_under(PROFILE)


@pytest.mark.skipif(LIBRARY is None, reason="libseccomp is not on this machine")
@pytest.mark.parametrize("missing", BUILDING)
def test_without_one_call_of_ours_the_walls_cannot_be_built_and_the_probe_says_so(missing: str, tmp_path: Path) -> None:
    profile = json.loads(PROFILE.read_text())
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name != missing]
    less = tmp_path / "less.json"
    less.write_text(json.dumps(profile))

    found = walls_under(less)
    assert any(refusal in found for refusal in REFUSALS)
