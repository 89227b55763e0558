"""A home belongs to its user and to one FlowRay at a time."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowray.errors import ConflictError
from flowray_serve.home import Home, HomeError, Running

KILLED = """
import os, sys
from pathlib import Path
from flowray_serve.home import Home, Running

home = Home(Path(sys.argv[1]))
with home.held():
    home.note_running(Running(url="http://x", pid=os.getpid()))
    os.kill(os.getpid(), 9)
"""


def test_nobody_runs_in_a_new_home(tmp_path: Path) -> None:
    assert Home(tmp_path / "home").running() is None


def test_who_holds_the_home_runs_there(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.held():
        home.note_running(Running(url="http://x", pid=os.getpid(), ready=True))

        assert home.running() == Running(url="http://x", pid=os.getpid(), ready=True)

    assert home.running() is None


def test_a_second_one_is_told_who_runs_there(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.held():
        home.note_running(Running(url="http://x", pid=4711))

        with pytest.raises(ConflictError, match=r"http://x \(pid 4711\)"), home.held():
            pass


def test_one_that_was_killed_does_not_run(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "home")], check=False)

    home = Home(tmp_path / "home")

    assert home.running() is None
    with home.held():
        pass


def test_a_home_is_not_free_while_what_runs_there_is_to_be_started_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.guarded():
        assert (home.running(), home.guard()) == (None, os.getpid())
        with pytest.raises(ConflictError, match=f"pid {os.getpid()}"):
            home.require_free()

    assert home.guard() is None
    home.require_free()


def test_what_is_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.keep_key("k")
    secret = home.secret()

    assert home.secret() == secret
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.path.iterdir()}
    assert modes == {"default.key": 0o600, "secret": 0o600}
    assert home.path.stat().st_mode & 0o077 == 0


def test_the_run_folder_leaves_room_for_socket_names(tmp_path: Path) -> None:
    long_home = Home(tmp_path / ("x" * 90))
    short_home = Home(Path("/home/somebody/.flowray"))

    assert len(str(long_home.run)) < 35
    assert long_home.run != Home(tmp_path / ("y" * 90)).run
    assert short_home.run == short_home.path / "run"


@pytest.mark.parametrize("odd", [" ", "ö", "%", "#", "'", '"', "$", "\\", ":", ",", "\n"])
def test_nothing_is_started_in_a_home_whose_path_ray_or_haproxy_cannot_read(tmp_path: Path, odd: str) -> None:
    home = Home(tmp_path / f"my{odd}home")

    with pytest.raises(HomeError) as refused:
        home.require_usable()

    assert f"the character {odd!r}" in refused.value.message
    assert "FLOWRAY_HOME" in refused.value.message
    assert not home.path.exists()


def test_a_usable_home_is_left_as_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path / "my-home_1.2+3@x")

    home.require_usable()

    assert [path.name for path in home.path.rglob("*") if not path.is_dir()] == []


def test_a_full_disk_is_told_with_what_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    monkeypatch.setattr(Path, "write_text", full)

    with pytest.raises(HomeError, match=rf"Cannot write {tmp_path}/default.key: No space left on device\. Make room"):
        home.keep_key("k")

    assert list(tmp_path.iterdir()) == []


def test_a_home_on_a_full_disk_is_not_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray_serve.home.TemporaryFile", full)

    with pytest.raises(HomeError, match=f"Cannot write {tmp_path}: No space left on device"):
        Home(tmp_path).require_usable()


def test_a_disk_that_runs_full_is_told_whoever_writes(tmp_path: Path) -> None:
    home = Home(tmp_path)

    with pytest.raises(HomeError, match="No space left on device"), home.with_room():
        full()
    with pytest.raises(ConnectionRefusedError), home.with_room():
        raise ConnectionRefusedError


def full(*_: object, **__: object) -> None:
    """What writing does on a disk that is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_link_in_place_of_the_run_folder_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.run.symlink_to(tmp_path)
    try:
        with pytest.raises(HomeError):
            home.prepare()
    finally:
        home.run.unlink()
