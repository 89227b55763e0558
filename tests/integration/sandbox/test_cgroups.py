import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from flowray.sandbox.cgroup_places import Place, places
from flowray.sandbox.cgroups import Cgroups, find_cgroups
from flowray.sandbox.child import Child
from flowray.sandbox.limits import Limits
from tests.integration.sandbox.conftest import Inside, start

LIMITS = Limits(memory_mib=128, processes=20)
SHARED = (
    "import mmap\nkept = mmap.mmap(-1, {mib} << 20)\nfor at in range(0, {mib} << 20, 4096): kept[at] = 1\nresult = 1"
)
_HELD = ("pids.max", "memory.limit_in_bytes", "cpu.shares")

found = find_cgroups()
pytestmark = pytest.mark.skipif(found is None, reason="no group can be made here")
if found is not None:
    found.close()


def ours() -> set[Path]:
    """The folders of this process's zygotes, and those of their children."""
    name = f"flowray-{os.getpid()}-*"
    folders = {folder for place in places() for folder in place.folders.values()}
    return {one for folder in folders for found in folder.glob(name) for one in (found, *found.glob("*/"))}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bounded() -> AsyncIterator[Inside]:
    zygote = await start(limits=LIMITS)
    yield Inside(zygote)
    await zygote.stop()


async def test_shared_memory_that_no_rlimit_counts_is_bounded_and_the_verdict_is_the_kernel_s(bounded: Inside) -> None:
    answer = await bounded.run(SHARED.format(mib=400), limits={"memory_mib": 128})

    assert (answer.exit.signal, answer.exit.short_of_memory) == (signal.SIGKILL, True)


async def test_a_bomb_of_ordinary_memory_is_still_a_memory_error(bounded: Inside) -> None:
    answer = await bounded.run("kept = bytearray(300 << 20)", limits={"memory_mib": 128})

    assert (answer.error_type, answer.exit.short_of_memory) == ("MemoryError", False)


async def test_how_much_memory_was_taken_is_known_of_one_that_crashed(bounded: Inside) -> None:
    answer = await bounded.run("import ctypes; kept = bytearray(100 << 20); ctypes.string_at(0)")

    assert answer.exit.signal == signal.SIGSEGV
    assert 100 < answer.exit.peak_mib < 200


async def test_what_a_job_may_take_follows_its_own_limits(bounded: Inside) -> None:
    child = await bounded.zygote.spawn()
    child.hold(Limits(memory_mib=400))

    answer = await bounded.use(child, SHARED.format(mib=400), limits={"memory_mib": 400})

    assert answer.result == 1


async def test_the_peak_of_a_sandbox_is_known_while_it_lives(bounded: Inside) -> None:
    child = await bounded.zygote.spawn()
    await bounded.begin(child, "kept = b'x' * (64 << 20)\nimport time; time.sleep(30)")

    await asyncio.to_thread(_wait_for_peak, child)

    child.close()
    await child.wait()


async def test_threads_are_counted_by_the_group(bounded: Inside) -> None:
    child = await bounded.zygote.spawn()

    held = {line for folder in ours() for line in _lines(folder / "pids.max")}

    child.close()
    await child.wait()
    assert "20" in held


async def test_a_killed_neighbour_harms_nobody(bounded: Inside) -> None:
    bomb, calm = await asyncio.gather(
        bounded.run(SHARED.format(mib=400), limits={"memory_mib": 128}), bounded.run("result = sum(range(10**6))")
    )

    assert (bomb.exit.short_of_memory, calm.result) == (True, 499999500000)


async def test_nothing_is_left_after_runs_nor_after_the_zygote() -> None:
    before = ours()
    zygote = await start(limits=LIMITS)
    inside = Inside(zygote)
    await asyncio.gather(*(inside.run("result = 1") for _ in range(10)))
    held = [line for folder in ours() - before for line in _lines(folder / "cgroup.procs")]

    await zygote.stop()

    assert held == []
    assert ours() == before


async def test_groups_end_with_a_zygote_that_is_killed() -> None:
    before = ours()
    zygote = await start(limits=LIMITS)
    child = await zygote.spawn()

    os.kill(zygote.pid, signal.SIGKILL)
    await child.wait()
    child.close()
    await zygote.stop()

    assert ours() == before


def test_a_group_that_is_used_again_has_the_limits_of_all_and_weighs_what_it_did() -> None:
    before = ours()
    cgroups = Cgroups(next(places()))
    group = cgroups.group()
    group.make(LIMITS)
    group.limit(Limits(memory_mib=400, processes=33, cpu_weight=25))
    group.end()
    if cgroups.group() is not group:
        pytest.skip("groups of version 2 are used once")

    group.renew(LIMITS)

    groups = {folder for folder in ours() - before if not folder.name.startswith("flowray-")}
    held = {name: line for folder in groups for name in _HELD for line in _lines(folder / name)}
    group.drop()
    cgroups.close()
    assert held == {"pids.max": "20", "memory.limit_in_bytes": str((128 + 128) << 20), "cpu.shares": "256"}


def test_of_the_groups_that_nobody_uses_two_keep_their_files_open_once_they_rest() -> None:
    cgroups = Cgroups(next(places()))
    groups = [cgroups.group() for _ in range(5)]
    for group in groups:
        group.make(LIMITS)
    for group in groups:
        group.end()
    before = [bool(group.entrances) for group in groups]

    cgroups.rest()

    after = [bool(group.entrances) for group in groups]
    cgroups.close()
    if not any(before):
        pytest.skip("groups of version 2 are used once")
    assert (before, after) == ([True] * 5, [False, False, False, True, True])


def test_what_a_killed_service_left_is_swept_away() -> None:
    place = next(places())
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = [folder / f"flowray-{gone.pid}-1-abcd" for folder in set(place.folders.values())]
    for folder in left:
        (folder / "7").mkdir(parents=True)

    Cgroups(place).close()

    assert not any(folder.exists() for folder in left)


def _wait_for_peak(child: Child) -> None:
    while child.peak_mib < 64:
        os.sched_yield()


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_version_2_hands_its_controllers_down_and_holds_a_process() -> None:
    """With a controller that version 1 has not taken, where there is one: the way is the same for all."""
    tree = next((path for path in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")) if _free(path)), None)
    if tree is None:
        pytest.skip("version 2 has no free controller here")
    cgroups = Cgroups(Place(version=2, folders={"hugetlb": tree}))
    group = cgroups.group()
    held = subprocess.Popen(["sleep", "100"])

    group.make(LIMITS)
    for entrance in group.entrances:
        os.write(entrance, str(held.pid).encode())

    told = Path(f"/proc/{held.pid}/cgroup").read_text()
    held.kill()
    held.wait()
    group.drop()
    cgroups.close()
    assert f"/flowray-{os.getpid()}-" in told.splitlines()[-1]
    assert not list(tree.glob(f"flowray-{os.getpid()}-*"))


@pytest.fixture
def forking() -> Iterator[Path]:
    """A group of version 2, as if delegated: its processes fork all the time."""
    place = next((place for place in places() if place.version == 2), None)
    if place is None:
        pytest.skip("version 2 has no controller for memory here")
    Cgroups(place).close()  # from now on its parts have the controllers
    folder = place.folders["memory"] / "delegated"
    folder.mkdir()
    with subprocess.Popen(["sh", "-c", "read go; while :; do (:) & (:) & wait; done"], stdin=subprocess.PIPE) as shell:
        (folder / "cgroup.procs").write_text(str(shell.pid))
        assert shell.stdin is not None
        shell.stdin.write(b"go\n")
        shell.stdin.flush()
        yield folder
        (folder / "cgroup.kill").write_text("1")
    while "populated 1" in (folder / "cgroup.events").read_text():
        os.sched_yield()
    for group in (*folder.glob("*/"), folder):
        group.rmdir()


def test_a_group_whose_processes_go_on_forking_is_cleared_of_them(forking: Path) -> None:
    controllers = dict.fromkeys(("memory", "pids"), forking)

    cgroups = Cgroups(Place(version=2, folders=controllers))

    cgroups.close()
    assert (forking / "cgroup.procs").read_text() == ""


def _free(tree: Path) -> bool:
    file = tree / "cgroup.controllers"
    return file.exists() and "hugetlb" in file.read_text().split() and os.geteuid() == 0
