import asyncio
import os
import signal
from pathlib import Path

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.sandbox.limits import Limits, niceness
from tests.integration.sandbox.conftest import Inside, start


async def test_too_much_memory_is_a_memory_error(inside: Inside) -> None:
    answer = await inside.run("blocks = []\nwhile True: blocks.append(bytearray(8 << 20))", limits={"memory_mib": 64})

    assert answer.error_type == "MemoryError"
    assert answer.exit.max_rss_mib < 64 + 128


async def test_what_is_granted_can_be_used(inside: Inside) -> None:
    answer = await inside.run("result = len(bytearray(100 << 20))", limits={"memory_mib": 128})

    assert answer.result == 100 << 20


async def test_limits_cannot_be_raised(inside: Inside) -> None:
    answer = await inside.run("import resource as r; r.setrlimit(r.RLIMIT_DATA, (r.RLIM_INFINITY, r.RLIM_INFINITY))")

    assert answer.error_type in {"ValueError", "PermissionError"}


async def test_processor_time_is_limited(inside: Inside) -> None:
    answer = await inside.run("while True: pass", limits={"cpu_s": 1})

    assert answer.exit.signal == signal.SIGKILL
    assert 0.3 < answer.exit.cpu_s < 5.0, "the limit is counted in ticks, which a busy host makes long"


async def test_without_a_control_group_a_light_step_is_a_nice_process_and_cannot_change_that(inside: Inside) -> None:
    child = await inside.zygote.spawn()
    child.hold(Limits(cpu_weight=10))
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == niceness(10)

    answer = await inside.use(child, "import os; os.setpriority(os.PRIO_PROCESS, 0, 0)")

    assert answer.error_type == "PermissionError"


async def test_threads_are_limited_for_each_child_alone(inside: Inside) -> None:
    code = (
        "import threading\n"
        "gate = threading.Event()\n"
        "started = []\n"
        "try:\n"
        "    for _ in range(500):\n"
        "        started.append(threading.Thread(target=gate.wait, daemon=True)); started[-1].start()\n"
        "except RuntimeError: started.pop()\n"
        "result = len(started)\n"
        "gate.set()\n"
    )

    answers = await asyncio.gather(*(inside.run(code, limits={"processes": 20}) for _ in range(3)))

    assert [answer.result for answer in answers] == [19, 19, 19]


async def test_open_files_are_limited(inside: Inside) -> None:
    answer = await inside.run("files = [open('/dev/null') for _ in range(100)]", limits={"open_files": 50})

    assert answer.error_type == "OSError"


async def test_killing_a_child_ends_its_threads_and_is_told(inside: Inside) -> None:
    child = await inside.zygote.spawn()
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()\ntime.sleep(100)"
    await inside.begin(child, code)

    child.kill()

    ended = await child.wait()
    child.close()
    assert (ended.code, ended.signal) == (None, signal.SIGKILL)


@pytest.mark.parametrize("code", ["import os, signal; os.kill(1, signal.SIGSTOP); result = 1", "while True: pass"])
async def test_a_child_that_does_not_want_to_end_can_be_killed(inside: Inside, code: str) -> None:
    child = await inside.zygote.spawn()
    await inside.begin(child, code)

    child.kill()

    ended = await asyncio.wait_for(child.wait(), 2)
    child.close()
    assert ended.signal == signal.SIGKILL or ended.code == 0


async def test_an_exit_of_its_own_is_told_with_its_code(inside: Inside) -> None:
    answer = await inside.run("import os; os._exit(7)")

    assert (answer.exit.code, answer.exit.signal, answer.said) == (7, None, {})


async def test_a_crash_is_told_with_its_signal(inside: Inside) -> None:
    answer = await inside.run("import ctypes; ctypes.string_at(0)")

    assert answer.exit.signal == signal.SIGSEGV


async def test_processor_time_can_be_read_while_a_child_runs(inside: Inside) -> None:
    child = await inside.zygote.spawn()
    await inside.begin(child, "while True: pass")

    async with asyncio.timeout(10):
        while child.cpu_s < 0.05:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)

    child.kill()
    assert (await child.wait()).cpu_s >= 0.05
    child.close()
    assert child.cpu_s == 0


async def test_a_dropped_spare_ends(inside: Inside) -> None:
    child = await inside.zygote.spawn()

    child.close()

    assert (await child.wait()).signal == signal.SIGKILL


async def test_a_dead_zygote_takes_its_children_along_and_says_so() -> None:
    zygote = await start()
    child = await zygote.spawn()

    os.kill(zygote.pid, signal.SIGKILL)

    await asyncio.wait_for(zygote.closed.wait(), 5)
    assert (await child.wait()).signal == signal.SIGKILL
    with pytest.raises(SandboxUnavailableError, match="ended"):
        await zygote.spawn()
    await zygote.stop()
    assert not Path(f"/proc/{child.pid}").exists()
    child.close()


async def test_stopping_a_zygote_leaves_no_process_and_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    zygote = await start()
    children = [await zygote.spawn() for _ in range(3)]

    await zygote.stop()

    for child in children:
        assert not Path(f"/proc/{child.pid}").exists()
        child.close()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_zygote_that_cannot_start_says_why() -> None:
    with pytest.raises(SandboxUnavailableError, match="no_such_module"):
        await start(preload=["no_such_module"])


async def test_a_thousand_children_leave_nothing_behind(inside: Inside) -> None:
    await asyncio.gather(*(inside.run("result = 1") for _ in range(10)))
    ours, theirs = _open("self"), _open(inside.zygote.pid)

    for _ in range(30):
        await asyncio.gather(*(inside.run("result = 1") for _ in range(10)))

    assert _open("self") == ours
    assert _open(inside.zygote.pid) <= theirs + 2


def _open(pid: int | str) -> int:
    """How many descriptors a process has open; a zygote's, which is not dumpable, only root can count."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0
