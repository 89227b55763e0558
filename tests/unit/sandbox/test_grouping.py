"""A control group whose making takes the kernel long, while the child that it is for is given up."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.sandbox.cgroup_places import Place
from flowray.sandbox.cgroups import Cgroups
from flowray.sandbox.grouping import Grouping
from flowray.sandbox.limits import Limits

FILES = ("pids.max", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "tasks")


@dataclass
class Kernel:
    """Makes a folder of control files when `ready`, and removes it with them."""

    mkdir: Any = os.mkdir
    rmdir: Any = os.rmdir
    asked: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)

    def make(self, folder: str) -> None:
        self.asked.set()
        assert self.ready.wait(10)
        self.mkdir(folder)
        for name in FILES:
            (Path(folder) / name).touch()

    def remove(self, folder: str) -> None:
        for file in Path(folder).iterdir():
            file.unlink()
        self.rmdir(folder)


@pytest.fixture
def cgroups(tmp_path: Path) -> Cgroups:
    return Cgroups(Place(version=1, folders=dict.fromkeys(("memory", "pids"), tmp_path)))


@pytest.fixture
def kernel(cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(os, "mkdir", made.make)
    monkeypatch.setattr(os, "rmdir", made.remove)
    return made


async def given_up(grouping: Grouping, kernel: Kernel) -> None:
    """As its thread is at it."""
    taking = asyncio.create_task(grouping.take())
    await asyncio.to_thread(kernel.asked.wait, 10)
    taking.cancel()
    await asyncio.wait([taking])
    assert taking.cancelled()


async def test_nothing_is_left_of_a_group_that_nobody_waits_for_any_more(
    cgroups: Cgroups, kernel: Kernel, tmp_path: Path
) -> None:
    before = os.listdir("/proc/self/fd")
    grouping = Grouping(cgroups, Limits())
    await given_up(grouping, kernel)

    kernel.ready.set()
    await asyncio.wait(grouping._making, timeout=10)

    assert [part for own in tmp_path.iterdir() for part in own.iterdir()] == []
    assert os.listdir("/proc/self/fd") == before
    await grouping.close()


async def test_what_is_still_being_made_is_gone_once_all_is_closed(
    cgroups: Cgroups, kernel: Kernel, tmp_path: Path
) -> None:
    grouping = Grouping(cgroups, Limits())
    await given_up(grouping, kernel)
    closing = asyncio.create_task(grouping.close())

    kernel.ready.set()
    await asyncio.wait_for(closing, 10)

    assert list(tmp_path.iterdir()) == []


async def test_a_group_that_cannot_be_made_is_told_as_a_child_that_cannot_be(
    cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise OSError("no space")

    grouping = Grouping(cgroups, Limits())
    monkeypatch.setattr(os, "mkdir", refuse)

    with pytest.raises(SandboxUnavailableError, match="no space"):
        await grouping.take()

    await grouping.close()
