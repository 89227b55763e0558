"""The command line as processes of its own: what they start, stop, and are told by signals."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowray_serve.cluster.ports import free_port
from flowray_serve.home import Home
from tests.kit.settings import forget_settings

FLOWRAY = (sys.executable, "-m", "flowray_serve")
GUARD = """
import signal, sys
from pathlib import Path
from flowray_serve.home import Home

with Home(Path(sys.argv[1])).guarded():
    print(flush=True)
    signal.pause()
"""
DEAF_GUARD = GUARD.replace("    print", "    signal.signal(signal.SIGTERM, signal.SIG_IGN); print")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    forget_settings(monkeypatch)
    monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def ran(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FLOWRAY, *words], capture_output=True, text=True, check=False)


@contextmanager
def guarding(home: Home, guard: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to start the service of a home again."""
    with subprocess.Popen([sys.executable, "-c", guard, str(home.path)], stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None
        waiting.stdout.readline()
        yield waiting


def test_a_port_in_use_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("FLOWRAY_PORT", str(taken.getsockname()[1]))
        ended = ran("up", "--detach", "--json")

    assert (ended.returncode, json.loads(ended.stderr)["code"]) == (2, "port_taken")


def test_output_to_a_full_device_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*FLOWRAY, "down"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr == "flowray: Cannot write the output: No space left on device.\n"


def test_who_waits_to_start_it_again_is_stopped(home: Home) -> None:
    with guarding(home, GUARD) as guard:
        down = ran("down", "--json")
        assert guard.wait(10) == -signal.SIGTERM

    assert down.returncode == 0
    assert json.loads(down.stdout) == {"stopped": True}


def test_what_was_killed_is_not_said_among_json(home: Home) -> None:
    with guarding(home, DEAF_GUARD) as guard:
        down = ran("down", "--wait", "1", "--json")
        assert guard.wait(10) == -signal.SIGKILL

    assert down.returncode == 0
    assert json.loads(down.stdout) == {"stopped": True}
    assert "was killed" in down.stderr


@pytest.mark.parametrize("words", [("up", "--detach"), ("demo",)])
def test_ctrl_c_ends_what_was_being_started(
    monkeypatch: pytest.MonkeyPatch, home: Home, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FLOWRAY_PORT", str(free_port()))
    command = [*FLOWRAY, *words]
    with subprocess.Popen(command, start_new_session=True, preexec_fn=listening_to_ctrl_c) as started:  # noqa: PLW1509
        guard = os.pidfd_open(guard_of(home))

        os.killpg(started.pid, signal.SIGINT)  # as a terminal does

        assert started.wait(30) == 130
    ended, _, _ = select.select([guard], [], [], 30)
    os.close(guard)
    ran("down")
    assert ended


def listening_to_ctrl_c() -> None:
    # Shells have what runs in the background ignore it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def guard_of(home: Home) -> int:
    until = time.monotonic() + 30
    while (pid := home.guard()) is None and time.monotonic() < until:
        time.sleep(0.02)
    assert pid is not None
    return pid
