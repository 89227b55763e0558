"""Which Python runs inside: the best on this machine for being forked, else the service's own.

From 3.12 on, Python does not count references to what a zygote marks as immortal, and a run copies half as many pages
(see `flowray_sandbox.immortal`). An image has packages of its own, so it may have a Python of its own as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BETTER = ("3.13", "3.12")
_ASK_S = 10
_QUESTION = """
import ctypes, json, sqlite3, ssl, sys, sysconfig
usable = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
print(json.dumps([usable, "%d.%d" % sys.version_info[:2], sys.base_prefix]))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python that can run what is inside."""

    python: Path
    base_prefix: Path


def interpreters() -> Iterator[Interpreter]:
    """Those that may be used, the best first, the service's own last."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in _BETTER:
        if version == own:
            break
        for place in _places(version):
            found = _asked(place, version)
            if found is not None:
                yield found
                break
    yield Interpreter(python=Path(sys.base_prefix) / "bin" / f"python{own}", base_prefix=Path(sys.base_prefix))


def _places(version: str) -> Iterator[Path]:
    """On the search path, and beside the service's own: pyenv and uv keep versions in neighbouring folders."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for folder in (*folders, *sorted(Path(sys.base_prefix).parent.glob("*/bin"), reverse=True)):
        candidate = folder / f"python{version}"
        if os.access(candidate, os.X_OK):
            yield candidate


def _asked(candidate: Path, version: str) -> Interpreter | None:
    """What the candidate says of itself; None when it does not run, or is another one than its name says."""
    command = [str(candidate), "-I", "-S", "-c", _QUESTION]
    try:
        said = subprocess.run(command, capture_output=True, check=True, timeout=_ASK_S, env={}).stdout  # noqa: S603
        usable, is_version, prefix = json.loads(said)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if not usable or is_version != version:
        return None
    return Interpreter(python=Path(prefix) / "bin" / f"python{version}", base_prefix=Path(prefix))
