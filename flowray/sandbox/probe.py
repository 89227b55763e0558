"""Whether this machine can build the walls: each wall tried, what is missing named with its remedy."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from flowray.errors import FlowRayError, ImageError, SandboxUnavailableError
from flowray.sandbox import confinement
from flowray.sandbox.bubblewrap import find_bubblewrap
from flowray.sandbox.canaries import CANARIES, fallen
from flowray.sandbox.cgroups import find_cgroups
from flowray.sandbox.image import Image, find_image
from flowray.sandbox.start import Inside
from flowray.sandbox.walls import LowerableWall
from flowray.sandbox.zygote import Zygote

_MACHINES = ("x86_64", "aarch64")
_LANDLOCK_CREATE, _LEAST_LANDLOCK = 444, 4
_SWITCHES = {
    Path("/proc/sys/user/max_user_namespaces"): "Turn them on: sysctl -w user.max_user_namespaces=10000",
    Path("/proc/sys/kernel/unprivileged_userns_clone"): "Turn them on: sysctl -w kernel.unprivileged_userns_clone=1",
}
_RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_SECCOMP = Path("/proc/sys/kernel/seccomp/actions_avail")
_WITHOUT_GROUPS = (
    "none that can be written to: a step's shared mappings and kernel buffers are bounded only loosely, and a kill for "
    "want of memory is a guess. Delegate a group (systemd: Delegate=yes)."
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One wall: whether it stands, what was found, and else what to do."""

    wall: str
    ok: bool
    found: str = ""
    remedy: str = ""


async def probe(image: Image | None = None, lowered: Collection[LowerableWall] = ()) -> list[Finding]:
    """Look at each wall; then build a jail and let canaries try what they must not be able to do.

    Of walls that an operator has lowered nothing is asked, and canaries that only they hold back may get through.
    """
    findings = [_machine(), _user_namespaces(), _bubblewrap(), _seccomp(), _landlock(), _groups()]
    findings = [_lowered(finding) if finding.wall in lowered else finding for finding in findings]
    if all(finding.ok for finding in findings):
        findings.append(await _jail(image, lowered))
    return findings


async def require(image: Image | None = None, lowered: Collection[LowerableWall] = ()) -> None:
    """Refuse to go on without walls: one clear line for the first that is missing and was not lowered by name."""
    for finding in await probe(image, lowered):
        if not finding.ok:
            raise SandboxUnavailableError(f"{finding.wall}: {finding.found}. {finding.remedy}")


def _machine() -> Finding:
    found = f"{sys.platform} on {platform.machine()}"
    fits = sys.platform == "linux" and platform.machine() in _MACHINES
    return Finding(wall="machine", ok=fits, found=found, remedy="Sandboxes need Linux on x86_64 or aarch64.")


def _user_namespaces() -> Finding:
    wall = "user namespaces"
    for switch, remedy in _SWITCHES.items():
        if _read(switch) == "0":
            return Finding(wall=wall, ok=False, found="off", remedy=remedy)
    error = confinement.refused_namespaces() if sys.platform == "linux" else 0
    if error == 0:
        return Finding(wall=wall, ok=True, found="on")
    restricted = _read(_RESTRICTED) == "1"
    remedy = confinement.who_refuses(error, restricted=restricted, profile=confinement.apparmor_profile())
    return Finding(wall=wall, ok=False, found=f"refused ({confinement.named(error)})", remedy=remedy)


def _bubblewrap() -> Finding:
    try:
        return Finding(wall="bubblewrap", ok=True, found=str(find_bubblewrap()))
    except SandboxUnavailableError as missing:
        return Finding(wall="bubblewrap", ok=False, found="missing", remedy=missing.message)


def _seccomp() -> Finding:
    actions = _read(_SECCOMP)
    found = "filters" if "errno" in actions else "none"
    return Finding(wall="seccomp", ok=bool(actions), found=found, remedy="The kernel needs CONFIG_SECCOMP_FILTER.")


def _landlock() -> Finding:
    version = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE, None, 0, 1)
    found = f"version {version}" if version > 0 else "none"
    remedy = "Linux 6.7 or newer has version 4; the kernel's boot option `lsm=` must name landlock."
    return Finding(wall="landlock", ok=version >= _LEAST_LANDLOCK, found=found, remedy=remedy)


def _groups() -> Finding:
    """Not having any is no reason to refuse: rlimits hold each process, and a sandbox is one."""
    groups = find_cgroups()
    if groups is None:
        return Finding(wall="control groups", ok=True, found=_WITHOUT_GROUPS)
    groups.close()
    return Finding(wall="control groups", ok=True, found=f"version {groups.version}: {', '.join(groups.controllers)}")


def _lowered(finding: Finding) -> Finding:
    return replace(finding, ok=True, found=f"lowered by a setting (the machine's: {finding.found})")


async def _jail(image: Image | None, lowered: Collection[LowerableWall]) -> Finding:
    wall = "jail"
    try:
        inside = Inside(warm=(), work="flowray_sandbox.canary", lowered=tuple(lowered))
        zygote = await Zygote.start(image or find_image(), inside)
    except FlowRayError as cause:
        remedy = "Build the image first."
        if not isinstance(cause, ImageError):
            profile = confinement.apparmor_profile()
            remedy = confinement.held_by(profile) if profile else "See what bubblewrap said."
        return Finding(wall=wall, ok=False, found=cause.message, remedy=remedy)
    try:
        through = await fallen(zygote, lowered)
    except SandboxUnavailableError as cause:
        return Finding(wall=wall, ok=False, found=cause.message, remedy="Report this: a wall could not be built.")
    finally:
        await zygote.stop()
    found = f"not held back: {', '.join(through)}" if through else f"{len(CANARIES)} attacks held back"
    return Finding(wall=wall, ok=not through, found=found, remedy="Do not run strangers' code here. Report this.")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
