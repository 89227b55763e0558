"""What holds this very process: whether it may make user namespaces, and if not, who forbids it and what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

_RULES = "It needs `userns`, `mount`, `umount` and `pivot_root`, as in deploy/kubernetes/flowray-runner.apparmor."
# Two steps: where AppArmor restricts them, a user namespace can be made, and nothing be done with it.
_TRIAL = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for kind in (0x10000000, 0x00020000):
    if libc.unshare(kind):
        sys.exit(ctypes.get_errno())
"""
_TRIAL_S = 30


def refused_namespaces() -> int:
    """The error with which the kernel refuses a user namespace and a mount namespace in it; 0 when it grants both."""
    return subprocess.run([sys.executable, "-I", "-S", "-c", _TRIAL], timeout=_TRIAL_S, check=False).returncode  # noqa: S603


def who_refuses(error: int, *, restricted: bool, profile: str) -> str:
    """The remedy for a refusal: `restricted` is whether AppArmor restricts whoever has no profile of its own."""
    if profile:
        return held_by(profile)
    if restricted:
        return (
            "Allow them: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or start FlowRay under an AppArmor "
            "profile that does, such as deploy/kubernetes/flowray-runner.apparmor."
        )
    if error == errno.ENOSPC:
        return "Raise user.max_user_namespaces, outside of this container as well if it is one."
    return (
        "Whatever holds this process must allow them: a container's seccomp profile, say (deploy/kubernetes has one "
        "that does). In a chroot none can be made."
    )


def held_by(profile: str) -> str:
    """What an AppArmor profile must have for the walls, and where its refusals are told."""
    return f"The AppArmor profile `{profile}` holds this process. {_RULES} What it refused is in the audit log."


def apparmor_profile(attributes: Path = Path("/proc/self/attr")) -> str:
    """The AppArmor profile that holds this process; empty when none does."""
    try:
        name, _, mode = (attributes / "apparmor" / "current").read_text().strip().rpartition(" ")
    except OSError:
        return ""
    return name if mode in ("(enforce)", "(kill)") else ""


def named(error: int) -> str:
    """The kernel's words for an error."""
    return os.strerror(error) if error > 0 else "its trial was killed"
