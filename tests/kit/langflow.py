"""A Langflow server of the tests' own, the release whose API this service speaks: what it answers is the measure."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.kit.server import HOST

# The smallest that serves the API. Langflow's own lock of its environment is none: what it leaves open is named here.
PACKAGES = ("langflow-base==1.13.0", "lfx==1.13.0", "lfx-openai==0.2.0")
USER, PASSWORD = "langflow", "langflow-secret"
_START_S = 180


@dataclass(frozen=True)
class Langflow:
    """Where it answers, and a key of its one user."""

    url: str
    key: str


@contextmanager
def running_langflow(*, port: int, variables: Mapping[str, str]) -> Iterator[Langflow]:
    """Langflow on this port of the loopback, with a home of its own; its flows find these variables."""
    with tempfile.TemporaryDirectory(prefix="langflow-") as home, Path(home, "log").open("w+") as log:
        command = [str(_environment()), "-m", "langflow", "run", "--backend-only", "--host", "127.0.0.1"]
        server = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "1"],
            env=_settings(home) | dict(variables),
            cwd=home,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, server, Path(log.name))
            yield Langflow(url=url, key=_key(url))
        finally:
            _end(server)


def _environment() -> Path:
    """The Python of its environment, which is made once and kept in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowray-tests"
    folder = cache / "-".join(("langflow", *(name.partition("==")[2] for name in PACKAGES)))
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *PACKAGES], check=True)
        (folder / "whole").touch()
    return python


def _settings(home: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "LANGFLOW_CONFIG_DIR": home,
        "LANGFLOW_DATABASE_URL": f"sqlite:///{home}/langflow.db",
        "LANGFLOW_AUTO_LOGIN": "true",  # gives the first token without a browser
        "LANGFLOW_SUPERUSER": USER,
        "LANGFLOW_SUPERUSER_PASSWORD": PASSWORD,
        "LANGFLOW_SSRF_ALLOWED_HOSTS": HOST,
        "LANGFLOW_LOG_LEVEL": "warning",
        "DO_NOT_TRACK": "true",
    }


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        time.sleep(0.2)  # nothing tells when it listens
    raise RuntimeError(f"Langflow did not start:\n{log.read_text()[-3000:]}")


def _key(url: str) -> str:
    with httpx.Client(base_url=url, timeout=60) as http:
        token = http.get("/api/v1/auto_login").raise_for_status().json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        made = http.post("/api/v1/api_key/", json={"name": "tests"}, headers=headers).raise_for_status()
        key: str = made.json()["api_key"]
        return key


def _end(server: subprocess.Popen[bytes]) -> None:
    """Langflow serves in a child of the process that was started: both are in one group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, 15)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, 9)
    server.wait()
