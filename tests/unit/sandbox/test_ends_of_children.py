"""How a child ended is told, whatever its control group can still say."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from pathlib import Path

import pytest

from flowray.sandbox.cgroups import Group
from flowray.sandbox.zygote import Zygote
from tests.unit.sandbox.kit import Ends, born, tell_gone

EVENTS = {1: "memory.oom_control", 2: "memory.events"}


def unreadable(folder: Path, version: int, free: list[Group]) -> Group:
    """A group whose counters are there, and cannot be read: a folder has their name."""
    (folder / EVENTS[version]).mkdir()
    return Group(version, {"memory": folder}, free)


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_whose_counters_cannot_be_read_is_used_by_nobody_else(tmp_path: Path, version: int) -> None:
    free: list[Group] = []
    group = unreadable(tmp_path, version, free)

    was_short = group.end()

    assert (was_short, free) == (False, [])


async def test_a_zygote_stops_although_a_child_s_group_cannot_be_read(
    ends: Ends, process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    ours, theirs = ends
    with tempfile.TemporaryFile() as log:
        zygote = Zygote(process, ours, log)
        child = await born(zygote, theirs, process.pid)
        child.group = unreadable(tmp_path, 2, [])

        process.kill()
        await asyncio.wait_for(zygote.stop(), 5)

    child.close()
    assert (await child.wait()).short_of_memory is False


async def test_a_child_s_end_is_told_also_when_its_group_breaks(
    ends: Ends, process: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: Group) -> bool:
        raise ValueError("not what the kernel writes")

    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.set_result(context["exception"]))
    ours, theirs = ends
    with tempfile.TemporaryFile() as log:
        zygote = Zygote(process, ours, log)
        child = await born(zygote, theirs, process.pid)
        child.group = Group(2, {"memory": tmp_path}, [])
        monkeypatch.setattr(Group, "end", breaks)

        tell_gone(theirs, 1)

        assert (await asyncio.wait_for(child.wait(), 5)).code == 0
        assert isinstance(await told, ValueError)
        child.close()
        process.kill()
        await zygote.stop()
