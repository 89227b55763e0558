"""How much the machine's cores have to do."""

from __future__ import annotations

from pathlib import Path

from flowray.runner.busy import Busy


def line(*, user: int, idle: int, iowait: int = 0) -> str:
    return f"cpu  {user} 0 0 {idle} {iowait} 0 0 0 0 0\ncpu0 1 2 3 4\n"


def test_what_was_used_since_the_last_look_is_told(tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text(line(user=1000, idle=1000))
    busy = Busy(file)
    file.write_text(line(user=1030, idle=1005, iowait=5))
    assert busy() == 0.75
    file.write_text(line(user=1030, idle=1025, iowait=5))
    assert busy() == 0.0


def test_a_kernel_that_does_not_say_is_idle(tmp_path: Path) -> None:
    busy = Busy(tmp_path / "missing")
    assert busy() == 0.0


def test_the_kernel_of_this_machine_says_it() -> None:
    busy = Busy()
    sum(range(3_000_000))
    assert 0.0 < busy() <= 1.0
