"""A report whose descriptors this process has no room for costs one sandbox, and no other.

The kernel delivers it all the same, with fewer descriptors or none.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.sandbox import control
from flowray.sandbox.child import Child
from flowray.sandbox.zygote import Zygote
from tests.unit.sandbox.kit import CELL, Ends, taken, tell_born, tell_cell, tell_gone


@pytest.fixture
async def zygote(ends: Ends, process: subprocess.Popen[bytes]) -> AsyncIterator[Zygote]:
    with tempfile.TemporaryFile() as log:
        started = Zygote(process, ends[0], log)
        yield started
        process.kill()
        await started.stop()


async def ordered(zygote: Zygote, ends: Ends) -> asyncio.Task[Child]:
    spawning = asyncio.create_task(zygote.spawn())
    await taken(ends[1], 1)
    return spawning


@pytest.mark.parametrize(("of_cell", "of_child"), [(1, 1), (1, 0), (0, 2), (0, 1), (0, 0)])
async def test_a_child_without_all_its_descriptors_is_refused_and_nothing_of_it_stays_open(
    zygote: Zygote, ends: Ends, of_cell: int, of_child: int
) -> None:
    spawning, before = await ordered(zygote, ends), set(os.listdir("/proc/self/fd"))

    tell_cell(ends[1], passed=of_cell)
    tell_born(ends[1], 1, zygote._process.pid, passed=of_child).close()
    with pytest.raises(SandboxUnavailableError, match="too many open files"):
        await asyncio.wait_for(spawning, 5)

    tell_gone(ends[1], 1)
    assert await taken(ends[1], 1) == [control.drop_cell(CELL)]
    assert set(os.listdir("/proc/self/fd")) == before


async def test_the_next_child_is_born_in_another_network(zygote: Zygote, ends: Ends) -> None:
    spawning = await ordered(zygote, ends)
    tell_cell(ends[1], passed=0)
    tell_born(ends[1], 1, zygote._process.pid).close()
    with pytest.raises(SandboxUnavailableError):
        await spawning
    tell_gone(ends[1], 1)
    await taken(ends[1], 1)

    spawning = await ordered(zygote, ends)
    tell_cell(ends[1])
    tell_born(ends[1], 2, zygote._process.pid).close()

    child = await asyncio.wait_for(spawning, 5)
    assert child.alive
    child.close()


async def test_a_child_that_nobody_waits_for_any_more_is_passed_over(zygote: Zygote, ends: Ends) -> None:
    spawning = await ordered(zygote, ends)
    spawning.cancel()
    await asyncio.wait([spawning])

    tell_cell(ends[1], passed=0)
    tell_born(ends[1], 1, zygote._process.pid).close()
    tell_gone(ends[1], 1)

    assert await taken(ends[1], 1) == [control.drop_cell(CELL)]
