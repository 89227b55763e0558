"""Who starts a supervisor again, and when not."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from flowray_serve.guard import Guard

_COUNT = """
import os, pathlib, signal, sys
runs = pathlib.Path(sys.argv[1]); runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
{}
"""


def kept(folder: Path, body: str, *, ready: bool = True) -> tuple[int, int]:
    """The exit code, and how often it ran."""
    runs = folder / "runs"
    said: list[str] = []
    seen = threading.Event()

    def is_ready(_: int) -> bool:
        seen.set()
        return ready

    command = [sys.executable, "-c", _COUNT.format(body), str(runs)]
    code = Guard(command, is_ready=is_ready, say=said.append).keep()
    count = len(runs.read_text())
    assert len(said) == count - 1
    return code, count


def test_what_dies_after_it_was_ready_is_started_again(tmp_path: Path) -> None:
    body = "import time; time.sleep(0.7); sys.exit(0 if runs.read_text() == 'xx' else 1)"
    assert kept(tmp_path, body) == (0, 2)


@pytest.mark.parametrize(("body", "code"), [("sys.exit(2)", 2), ("sys.exit(0)", 0)])
def test_what_never_came_up_or_stopped_in_order_is_not(tmp_path: Path, body: str, code: int) -> None:
    assert kept(tmp_path, body) == (code, 1)


def test_what_was_killed_by_hand_is_not(tmp_path: Path) -> None:
    assert kept(tmp_path, "import time; time.sleep(0.7); os.kill(os.getpid(), signal.SIGKILL)") == (137, 1)


def test_a_signal_is_passed_on_and_ends_it(tmp_path: Path) -> None:
    timer = threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timer.start()
    assert kept(tmp_path, "import time; time.sleep(20)") == (143, 1)
    timer.join()
