from pathlib import Path

from flowray.sandbox.cgroup_places import places
from flowray.sandbox.cgroups import written
from flowray.sandbox.limits import Limits

V1 = """\
8:pids:/
4:memory:/jobs/7
2:cpu,cpuacct:/
0::/
"""


def proc(tmp_path: Path, groups: str, *mounts: str) -> Path:
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "mountinfo").write_text("".join(f"31 23 0:28 {mount}\n" for mount in mounts))
    return tmp_path


def test_version_1_has_a_folder_for_each_controller_below_the_own_group(tmp_path: Path) -> None:
    mounts = [f"/ /sys/{name} rw,nosuid - cgroup cgroup rw,{name}" for name in ("memory", "pids", "cpu,cpuacct")]

    (place,) = places(proc(tmp_path, V1, *mounts))

    assert place.version == 1
    assert place.folders == {
        "memory": Path("/sys/memory/jobs/7"),
        "pids": Path("/sys/pids"),
        "cpu": Path("/sys/cpu,cpuacct"),
    }


def test_version_1_without_a_counter_of_threads_is_no_place(tmp_path: Path) -> None:
    assert list(places(proc(tmp_path, V1, "/ /sys/memory rw - cgroup cgroup rw,memory"))) == []


def test_version_2_is_taken_where_it_has_the_controllers(tmp_path: Path) -> None:
    tree = tmp_path / "tree" / "service"
    tree.mkdir(parents=True)
    (tree / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")

    (place,) = places(proc(tmp_path, "0::/service\n", f"/ {tmp_path}/tree rw - cgroup2 cgroup2 rw"))

    assert (place.version, set(place.folders)) == (2, {"memory", "pids", "cpu"})
    assert set(place.folders.values()) == {tree}


def test_who_was_moved_aside_finds_the_same_place_again(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "flowray-service").mkdir(parents=True)
    (tree / "cgroup.controllers").write_text("memory pids\n")

    (place,) = places(proc(tmp_path, "0::/flowray-service\n", f"/ {tree} rw - cgroup2 cgroup2 rw"))

    assert set(place.folders.values()) == {tree}


def test_version_2_without_memory_gives_way_to_version_1(tmp_path: Path) -> None:
    mounts = [f"/ /sys/{name} rw - cgroup cgroup rw,{name}" for name in ("memory", "pids")]

    (place,) = places(proc(tmp_path, V1, f"/ {tmp_path}/none rw - cgroup2 cgroup2 rw", *mounts))

    assert place.version == 1


def test_a_mount_of_a_part_of_the_tree_is_understood(tmp_path: Path) -> None:
    mounts = [f"/jobs /sys/{name} rw - cgroup cgroup rw,{name}" for name in ("memory", "pids")]

    (place,) = places(proc(tmp_path, "4:memory:/jobs/7\n8:pids:/jobs/7\n", *mounts))

    assert place.folders["memory"] == Path("/sys/memory/7")


def test_limits_are_written_in_the_words_of_each_version() -> None:
    limits = Limits(memory_mib=128, processes=20, cores=1.5, cpu_weight=25)

    assert {name: value for _, name, value in written(1, limits)} == {
        "pids.max": "20",
        "memory.limit_in_bytes": str(256 << 20),
        "cpu.cfs_quota_us": "150000",
        "cpu.shares": "256",
    }
    assert {name: value for _, name, value in written(2, limits)} == {
        "pids.max": "20",
        "memory.max": str(256 << 20),
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "cpu.weight": "25",
    }


def test_without_a_number_of_cores_there_is_no_quota() -> None:
    said = {name: value for version in (1, 2) for _, name, value in written(version, Limits())}

    assert (said["cpu.cfs_quota_us"], said["cpu.max"]) == ("-1", "max 100000")
