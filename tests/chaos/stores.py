"""The Valkey and the S3 of a round: servers of its own, which a monkey may take away, empty, and bring back."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from flowray_serve.embedded import EmbeddedValkey
from tests.chaos.cutting import Fits, goes_through, leads_to
from tests.contract.servers import KEY, SECRET, S3Server

_SECOND = 1.0


class Stores:
    """Both, below a folder. What is done to them is done one after the other."""

    def __init__(self, folder: Path) -> None:
        (folder / "s3").mkdir(parents=True)
        (folder / "doors").mkdir()
        self._folder = folder / "valkey"
        self._valkey = EmbeddedValkey(self._folder, folder / "doors" / "valkey")
        self._s3 = S3Server(folder / "s3")
        self._over = threading.Event()

    @property
    def settings(self) -> Mapping[str, str]:
        """How a service finds them."""
        options = {
            "endpoint": self._s3.endpoint,
            "region": "us-east-1",
            "access_key_id": KEY,
            "secret_access_key": SECRET,
        }
        return {
            "FLOWRAY_REDIS__URL": self._valkey.url,
            "FLOWRAY_OBJECTS__URL": "s3://chaos/record",
            "FLOWRAY_OBJECTS__OPTIONS": json.dumps(options),
        }

    @property
    def connections(self) -> Mapping[str, Fits]:
        """Which connections lead to each of them."""
        return {"valkey": goes_through(self._folder.parent / "doors"), "s3": leads_to(self._s3.port)}

    def start(self) -> None:
        """Both at once."""
        self._valkey.start()
        self._s3.start()

    def stop(self) -> None:
        """End what was begun with them, and both."""
        self._over.set()
        self._valkey.stop()
        self._s3.kill()

    def pid(self, name: str) -> int | None:
        """The process of one of them."""
        return self._valkey.pid if name == "valkey" else self._s3.pid

    def restart(self, name: str, *, after_s: float) -> None:
        """Kill one of them, and start it again after a time; it has what it had."""
        if name == "s3":
            self._s3.kill()
            self._over.wait(after_s)
            self._s3.start()
            return
        self._kill_valkey()
        self._over.wait(after_s)
        self._valkey.start()

    def forget_last_second(self) -> None:
        """Valkey as after a power cut: what it has answered within the last second is on no disk."""
        before = self._log_sizes()
        self._over.wait(_SECOND)
        self._kill_valkey()
        for file, size in before.items():
            if file.exists() and file.stat().st_size > size:
                os.truncate(file, size)
        self._valkey.start()

    def forget_all(self) -> None:
        """Empty Valkey."""
        with redis.Redis.from_url(self._valkey.url, socket_timeout=5) as client:
            client.flushall()

    def _kill_valkey(self) -> None:
        pid = self._valkey.pid
        if pid is not None and self._valkey.alive:
            os.kill(pid, signal.SIGKILL)
        while self._valkey.alive:
            self._over.wait(0.01)

    def _log_sizes(self) -> dict[Path, int]:
        return {file: file.stat().st_size for file in self._folder.glob("appendonlydir/*.incr.aof")}


@contextmanager
def running_stores(folder: Path) -> Iterator[Stores]:
    """Both, for as long as this lasts."""
    stores = Stores(folder)
    stores.start()
    try:
        yield stores
    finally:
        stores.stop()
