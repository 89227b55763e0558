"""Stands over a supervisor: Ray ends its driver when its raylet dies, and somebody has to start both again.

A supervisor that was killed by hand (SIGKILL), that stopped in order, or that never came up is not started again. One
that was up once is, for as long as it takes: a store may be away at the very moment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from flowray_serve.cluster.leash import on_leash

_MOST_STARTS, _WITHIN_S = 5, 600.0
_NOT_STARTED = 1
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Guard:
    """Runs a command, again while it dies after it was ready; `is_ready` gets its process id, every `look_s`.

    `pauses_s` are the first and the longest pause between starts of a service that was up once and does not come up.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        is_ready: Callable[[int], bool],
        say: Callable[[str], None],
        look_s: float = 0.5,
        pauses_s: tuple[float, float] = (1.0, 30.0),
    ) -> None:
        self._command = command
        self._is_ready = is_ready
        self._say = say
        self._look_s = look_s
        self._first_pause_s, self._longest_pause_s = pauses_s
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = False

    def keep(self) -> int:
        """Until it ends for good; its exit code."""
        starts: list[float] = []
        was_up, code, pause_s = False, 0, 0.0
        with self._passing_signals_on():
            while not self._asked:
                starts = [at for at in starts if at > time.monotonic() - _WITHIN_S] + [time.monotonic()]
                code, was_ready = self._run()
                was_up = was_up or was_ready
                if self._asked or not was_up or code in (0, -signal.SIGKILL) or len(starts) > _MOST_STARTS:
                    break
                self._say(f"The service ended with {code}; starting it again")
                if was_ready:
                    pause_s = 0.0
                else:  # what it needs is away, and may stay so for hours
                    starts.pop()
                    pause_s = min(max(2 * pause_s, self._first_pause_s), self._longest_pause_s)
                self._wait(pause_s)
        return code if code >= 0 else 128 - code

    def _wait(self, for_s: float) -> None:
        until = time.monotonic() + for_s
        while time.monotonic() < until and not self._asked:
            time.sleep(self._look_s)

    def _run(self) -> tuple[int, bool]:
        try:
            self._child = subprocess.Popen(self._command, preexec_fn=on_leash)  # noqa: S603, PLW1509 - our own; it takes no lock
        except OSError as cause:  # what the last one died of, a lack of memory or of files, may not be over yet
            self._say(f"The service cannot be started: {cause}")
            return _NOT_STARTED, False
        if self._asked:  # while it was being started, which nobody could pass on
            self._child.terminate()
        was_ready = False
        while True:
            try:
                return self._child.wait(self._look_s), was_ready
            except subprocess.TimeoutExpired:
                was_ready = was_ready or self._is_ready(self._child.pid)

    @contextmanager
    def _passing_signals_on(self) -> Any:
        before = {number: signal.signal(number, self._pass_on) for number in _PASSED_ON}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _frame: Any) -> None:
        self._asked = True
        if self._child is not None and self._child.poll() is None:
            os.kill(self._child.pid, number)
