"""Processes that a killed FlowRay left behind: most die with it, Ray's agents and what hangs may not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE_S = 5.0
_POLL_S = 0.05


def end_leftovers(mark: str) -> int:
    """End this user's processes that have `mark` (`NAME=VALUE`) in their environment; return how many there were.

    Only to be called by the one who holds the home: nobody else then has a right to run with its mark.
    """
    pids = set(_marked(mark)) - {os.getpid()}
    for pid in pids:
        _kill(pid)
    deadline = time.monotonic() + _PATIENCE_S
    while any(_is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return len(pids)


def _marked(mark: str) -> Iterator[int]:
    wanted = mark.encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:  # it ended, or is another user's
            continue
        if wanted in environment.split(b"\0"):
            yield int(folder.name)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def _is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
