"""What Ray does not look after is kept up, also while the service starts; what cannot be ends the wait for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from flowray_serve.cluster.head import RayError
from flowray_serve.cluster.leash import on_leash
from flowray_serve.watching import Watched, WatchError, watching


class Daemons:
    """Ray's processes, of which some die."""

    def __init__(self, *dead: str) -> None:
        self.names = list(dead)
        self.revived = threading.Event()

    def dead(self) -> list[str]:
        return self.names

    def revive_gcs(self) -> None:
        self.names = []
        self.revived.set()


class MortalDaemons(Daemons):
    """Ray's processes, whose control store dies again: after each start, or after having been seen some times."""

    def __init__(self, *, lives_for_looks: int = 0) -> None:
        super().__init__("gcs_server")
        self.lives_for_looks = lives_for_looks
        self.looks_left = 0
        self.revivals = 0
        self.revived_often = threading.Event()

    def dead(self) -> list[str]:
        self.looks_left -= 1
        return ["gcs_server"] if self.looks_left < 0 else []

    def revive_gcs(self) -> None:
        self.looks_left = self.lives_for_looks
        self.revivals += 1
        if self.revivals > 15:
            self.revived_often.set()


class Valkey:
    """A Valkey that has died."""

    def __init__(self) -> None:
        self.alive = False
        self.started = threading.Event()

    def start(self) -> None:
        self.alive = True
        self.started.set()


class LeashedValkey(Valkey):
    """One whose start is that of a process."""

    process: subprocess.Popen[bytes]

    def start(self) -> None:
        self.process = subprocess.Popen(["/bin/sleep", "60"], preexec_fn=on_leash)  # noqa: PLW1509
        super().start()


class LockedValkey(Valkey):
    """One that the kernel does not let start."""

    def start(self) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")


@pytest.fixture
def thread() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as one:
        yield one


def watched(daemons: Daemons, valkey: Valkey | None = None) -> Watched:
    return Watched(daemons=daemons, valkey=valkey, ray_logs=Path("/somewhere/ray"))


def test_what_has_died_is_started_again_while_the_main_thread_is_busy(thread: Executor) -> None:
    daemons, valkey = Daemons("gcs_server"), Valkey()
    said: list[str] = []

    with watching(watched(daemons, valkey), thread=thread, progress=said.append, every_s=0.001):
        assert daemons.revived.wait(10)
        assert valkey.started.wait(10)

    assert said == ["Valkey has died; starting it again", "Ray's control store has died; starting it again"]


def test_what_was_started_again_is_there_to_be_stopped_when_the_watch_is_over(thread: Executor) -> None:
    valkey = LeashedValkey()

    with watching(watched(Daemons(), valkey), thread=thread, progress=print, every_s=0.001):
        assert valkey.started.wait(10)

    with pytest.raises(subprocess.TimeoutExpired):
        valkey.process.wait(0.2)
    valkey.process.kill()
    valkey.process.wait()


def test_a_raylet_that_dies_ends_whatever_the_main_thread_waits_for(thread: Executor) -> None:
    with (
        pytest.raises(RayError, match=r"raylet died\. Its logs are in /somewhere/ray"),
        watching(watched(Daemons("raylet")), thread=thread, progress=print, every_s=0.001),
    ):
        threading.Event().wait(30)


def test_who_waits_for_a_loss_hears_of_it(thread: Executor) -> None:
    daemons = Daemons()
    threading.Timer(0.05, daemons.names.append, ["raylet"]).start()

    with (
        pytest.raises(RayError, match="raylet"),
        watching(watched(daemons), thread=thread, progress=print, every_s=0.001) as wait,
    ):
        wait()


def test_a_store_that_cannot_be_started_again_is_a_loss_whatever_the_reason(thread: Executor) -> None:
    with (
        pytest.raises(WatchError, match=r"could not be started again: BlockingIOError: .*temporarily unavailable"),
        watching(watched(Daemons(), LockedValkey()), thread=thread, progress=print, every_s=0.001),
    ):
        threading.Event().wait(10)


@pytest.mark.parametrize("looks", [0, 1])
def test_a_control_store_that_dies_again_and_again_is_a_loss(thread: Executor, tmp_path: Path, looks: int) -> None:
    daemons = MortalDaemons(lives_for_looks=looks)
    watched = Watched(daemons=daemons, valkey=None, ray_logs=tmp_path)

    with (
        pytest.raises(RayError, match=rf"died 11 times in a row.*{tmp_path}, on a disk with \d+ MiB free"),
        watching(watched, thread=thread, progress=lambda _: None, every_s=0.001),
    ):
        daemons.revived_often.wait(10)

    assert daemons.revivals == 10


def test_a_control_store_that_dies_now_and_then_is_started_every_time(thread: Executor) -> None:
    daemons = MortalDaemons(lives_for_looks=10)

    with watching(watched(daemons), thread=thread, progress=lambda _: None, every_s=0.001):
        assert daemons.revived_often.wait(10)


@pytest.mark.parametrize("said", ["", "; raise OSError(28, 'No space left on device')"])
def test_a_process_that_does_not_notice_is_ended_whether_it_can_say_so_or_not(said: str) -> None:
    deaf = f"""
import signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from flowray_serve.watching import Watched, watching

class Daemons:
    def dead(self):
        return ["raylet"]

def progress(text):
    print(text, flush=True){said}

watched = Watched(daemons=Daemons(), valkey=None, ray_logs=Path("x"))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
with watching(watched, thread=ThreadPoolExecutor(1), progress=progress, every_s=0.01, notices_within_s=0.1):
    time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", deaf], timeout=30, capture_output=True, text=True, check=False)

    assert (ended.returncode, "raylet died" in ended.stdout) == (1, True), ended
