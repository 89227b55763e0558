"""Who starts a supervisor again, and when not."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from flowray_serve.guard import Guard

_COUNT = """
import os, pathlib, signal, sys, time
runs = pathlib.Path(sys.argv[1]); runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
def wait_until_seen():
    while not runs.with_name(f"seen-{{os.getpid()}}").exists():
        time.sleep(0.01)
{}
"""


def kept(folder: Path, body: str, *, ready: bool = True) -> tuple[int, int]:
    """The exit code, and how often it ran."""
    runs = folder / "runs"
    said: list[str] = []

    def is_ready(pid: int) -> bool:
        (folder / f"seen-{pid}").touch()
        return ready

    command = [sys.executable, "-IS", "-c", _COUNT.format(body), str(runs)]
    code = Guard(command, is_ready=is_ready, say=said.append, look_s=0.02).keep()
    count = len(runs.read_text())
    assert len(said) == count - 1
    return code, count


def test_what_dies_after_it_was_ready_is_started_again(tmp_path: Path) -> None:
    body = "wait_until_seen(); sys.exit(0 if runs.read_text() == 'xx' else 1)"
    assert kept(tmp_path, body) == (0, 2)


def test_what_cannot_even_be_started_for_a_moment_is_started_when_it_can(tmp_path: Path) -> None:
    python, said = tmp_path / "python", list[str]()
    python.symlink_to(sys.executable)
    gone = "wait_until_seen(); runs.with_name('python').unlink(missing_ok=True)"
    body = f"{gone} if runs.read_text() == 'x' else None; sys.exit(0 if runs.read_text() == 'xx' else 1)"

    def is_ready(pid: int) -> bool:
        (tmp_path / f"seen-{pid}").touch()
        return True

    def say(text: str) -> None:
        said.append(text)
        if "cannot be started" in text:
            python.symlink_to(sys.executable)

    command = [str(python), "-IS", "-c", _COUNT.format(body), str(tmp_path / "runs")]
    assert Guard(command, is_ready=is_ready, say=say, look_s=0.02, pauses_s=(0.01, 0.01)).keep() == 0
    assert [text for text in said if "cannot be started" in text]


def test_what_never_came_up_is_not(tmp_path: Path) -> None:
    assert kept(tmp_path, "wait_until_seen(); sys.exit(2)", ready=False) == (2, 1)


def test_what_was_up_once_is_started_until_it_is_up_again(tmp_path: Path) -> None:
    body = """
count = len(runs.read_text())
if count in (1, 5):
    runs.with_name(f"up-{os.getpid()}").touch()
    wait_until_seen()
sys.exit(0 if count == 5 else 1)
"""
    said: list[str] = []

    def is_ready(pid: int) -> bool:
        ready = (tmp_path / f"up-{pid}").exists()
        if ready:
            (tmp_path / f"seen-{pid}").touch()
        return ready

    command = [sys.executable, "-IS", "-c", _COUNT.format(body), str(tmp_path / "runs")]
    guard = Guard(command, is_ready=is_ready, say=said.append, look_s=0.02, pauses_s=(0.01, 0.02))

    assert guard.keep() == 0
    assert len(said) == 4


def test_what_stopped_in_order_is_not(tmp_path: Path) -> None:
    assert kept(tmp_path, "wait_until_seen(); sys.exit(0)") == (0, 1)


def test_what_was_killed_by_hand_is_not(tmp_path: Path) -> None:
    assert kept(tmp_path, "wait_until_seen(); os.kill(os.getpid(), signal.SIGKILL)") == (137, 1)


def test_a_signal_is_passed_on_and_ends_it(tmp_path: Path) -> None:
    # It ends its guard as whoever stops a service does; what it leaves itself for is the guard's signal.
    body = "wait_until_seen(); os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    assert kept(tmp_path, body) == (143, 1)


def test_a_signal_that_comes_while_it_is_started_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray_serve.guard.on_leash", lambda: os.kill(os.getppid(), signal.SIGTERM))

    assert Guard(["/bin/sleep", "60"], is_ready=lambda _: False, say=print, look_s=0.02).keep() == 143
