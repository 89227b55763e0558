"""Processes that a killed FlowRay left behind: most die with it, Ray's agents and what hangs may not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE_S = 5.0
_POLL_S = 0.05


def end_leftovers(run: Path, *, token: Path) -> int:
    """End the processes that were started in the folder `run` with this token; return how many there were.

    Only to be called by the one who holds the home: nobody else then has a right to run there.
    """
    # The kernel names a folder without links; the mark is as it was written.
    pids = set(_leftovers(run.resolve(), f"RAY_AUTH_TOKEN_PATH={token}".encode())) - {os.getpid()}
    for pid in pids:
        _kill(pid)
    deadline = time.monotonic() + _PATIENCE_S
    while any(_is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return len(pids)


def _leftovers(run: Path, mark: bytes) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if (folder / "cwd").readlink() == run and _is_ours(folder, mark):
                yield int(folder.name)
        except OSError:  # it ended, or is another user's
            continue


def _is_ours(process: Path, mark: bytes) -> bool:
    """Whether it has our mark in its environment; Ray's workers have written their title over theirs."""
    return (process / "cmdline").read_bytes().startswith(b"ray::") or mark in (process / "environ").read_bytes()


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
