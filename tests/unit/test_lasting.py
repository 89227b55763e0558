from __future__ import annotations

import asyncio
import logging

import pytest

from flowray.lasting import lasting


@pytest.mark.parametrize("error", [ValueError("a record of another shape"), None])
async def test_work_that_breaks_or_ends_is_named_and_begins_again(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    begun = 0
    again = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun > 1:
            again.set()
            await asyncio.Event().wait()
        if error is not None:
            raise error

    with caplog.at_level(logging.ERROR):
        task = lasting(work, name="archive journals", again_s=0.001)
        await asyncio.wait_for(again.wait(), 1)

    (line,) = caplog.records
    assert ("archive journals" in line.getMessage(), line.exc_info is not None) == (True, error is not None)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
