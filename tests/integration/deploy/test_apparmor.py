"""The AppArmor profile, enforced: on a machine whose kernel has AppArmor, as root, who alone may load a profile.

A pod as ours is made of what such a machine has: another user without powers, no new privileges, both profiles.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.deploy.test_kubernetes import AS_ANOTHER, CONFINED, DEPLOY, PROBE, PROFILE, REFUSALS
from tests.kit.confined import LIBRARY

_PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
_PARSER, _EXEC = shutil.which("apparmor_parser", path=_PATH), shutil.which("aa-exec", path=_PATH)
_LOADED = Path("/sys/kernel/security/apparmor/profiles")
NAME = "flowray-runner"
RULES = (DEPLOY / f"{NAME}.apparmor").read_text()

pytestmark = [
    pytest.mark.skipif(
        not _LOADED.exists() or os.geteuid() != 0,
        reason="no AppArmor in this kernel, or not root",
    ),
    pytest.mark.skipif(None in (_PARSER, _EXEC, LIBRARY), reason="no apparmor_parser, aa-exec or libseccomp"),
]


@contextmanager
def loaded(name: str, rules: str) -> Iterator[str]:
    """The profile in the kernel under another name, as long as it is needed."""
    text = re.sub(rf"\b{NAME}(?=[ ,])", name, rules)
    _tell("--replace", text)
    yield name
    _tell("--remove", text)


def _tell(order: str, rules: str) -> None:
    subprocess.run([str(_PARSER), order, "--skip-cache"], input=rules, text=True, check=True, timeout=60)


def under(profile: str, *command: str) -> str:
    """What a command prints under it."""
    started = [*AS_ANOTHER, str(_EXEC), "-p", profile, "--", *command]
    return subprocess.run(started, capture_output=True, text=True, timeout=300, check=False).stdout


def walls(profile: str) -> str:
    """What the start-up probe finds under it."""
    return under(profile, sys.executable, str(CONFINED), str(PROFILE), sys.executable, "-c", PROBE)


def test_all_walls_stand_under_the_profile_and_no_attack_gets_through() -> None:
    with loaded("flowray-tried", RULES) as profile:
        assert "(enforce)" in under(profile, "cat", "/proc/self/attr/apparmor/current")
        assert "jail: True" in walls(profile)


@pytest.mark.parametrize("rule", ["userns", "mount", "umount", "pivot_root"])
def test_without_one_rule_of_ours_the_probe_refuses(rule: str) -> None:
    with loaded(f"flowray-without-{rule}", RULES.replace(f"  {rule},\n", "")) as profile:
        found = walls(profile)

    assert any(refusal in found for refusal in REFUSALS)


@pytest.mark.parametrize("runtime", ["unconfined", "runc", "crun"])
def test_the_runtime_may_end_the_pod(runtime: str) -> None:
    if runtime not in ("unconfined", *_profiles()):
        pytest.skip(f"no profile `{runtime}` on this machine")
    with loaded("flowray-tried", RULES) as profile:
        waiting = [str(_EXEC), "-p", profile, "--", "sh", "-c", "echo held; exec sleep 100"]
        with subprocess.Popen(waiting, stdout=subprocess.PIPE, text=True) as held:
            assert held.stdout is not None
            held.stdout.readline()

            under(runtime, "kill", str(held.pid))

            assert held.wait(timeout=30) == -signal.SIGTERM


def _profiles() -> set[str]:
    return {line.rpartition(" ")[0] for line in _LOADED.read_text().splitlines()}
