"""The real Prometheus: on the path, or out of Debian's package, which is fetched once and unpacked in the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowray_serve.cluster.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
_START_S = 60


def tool(name: str) -> str:
    """The path of `prometheus` or `promtool`; skips the test where there is none and none to be had."""
    if found := shutil.which(name):
        return found
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowray-tests" / "prometheus"
    if not folder.exists():
        _fetch(folder)
    return str(folder / "usr" / "bin" / name)


def _fetch(folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("no Prometheus here, and no Debian to fetch it from")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        got = subprocess.run(
            ["apt-get", "download", "prometheus"], cwd=place, capture_output=True, text=True, check=False
        )
        packages = list(Path(place).glob("*.deb"))
        if not packages:
            pytest.skip(f"Prometheus cannot be fetched: {got.stderr.strip()[-200:]}")
        unpacked = Path(place, "unpacked")
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(unpacked)], check=True)
        unpacked.rename(folder)


@contextmanager
def running_prometheus(target: str, key: str, *, every: str = "2s") -> Iterator[Prometheus]:
    """One that reads a FlowRay's metrics, and has our alerts; `target` is host and port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="prometheus-") as home:
        config = {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "scrape_configs": [
                {
                    "job_name": "flowray",
                    "authorization": {"credentials": key},
                    "static_configs": [{"targets": [target]}],
                }
            ],
            "rule_files": [str(DEPLOY / "alerts.yaml")],
        }
        Path(home, "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        command = [tool("prometheus"), f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data"]
        with Path(home, "log").open("wb") as log:
            server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
                    _wait(http, server, Path(home, "log"))
                    yield Prometheus(http)
            finally:
                server.terminate()
                server.wait(30)


def _wait(http: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    patience_ends = time.monotonic() + _START_S
    while time.monotonic() < patience_ends and server.poll() is None:
        try:
            if http.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"Prometheus did not start: {log.read_text()[-1000:]}")


class Prometheus:
    """What it has to say."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """Those that fire or are about to."""
        found: Sequence[Mapping[str, Any]] = (
            self._http.get("/api/v1/alerts").raise_for_status().json()["data"]["alerts"]
        )
        return found

    def series(self, query: str) -> Sequence[tuple[Mapping[str, str], float]]:
        """What a query comes to now: the labels and the number of each series."""
        answer = self._http.get("/api/v1/query", params={"query": query}).raise_for_status().json()
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]
