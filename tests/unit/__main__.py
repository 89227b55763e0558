"""The unit and upkeep tests as three pytests at once, each with its files: python -m tests.unit [-x -k WORD ...].

They are forks of one process that has imported what they test, which takes longer than a third of the tests. Sharing
tests out one by one (pytest-xdist) would have every process collect them all and another one keep the books, which
costs more than it spreads here.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import warnings
from collections.abc import Iterable
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pytest

HERE = Path(__file__).parent
_NOTHING_WRONG = {int(pytest.ExitCode.OK), int(pytest.ExitCode.NO_TESTS_COLLECTED)}
_LIBRARY = ("hypothesis", "flowray.component.check", "flowray.plan.planner", "flowray.runner.runner")


def main() -> int:
    """Run them; what the others said comes after the first. 0 when nothing failed."""
    http = {*HERE.glob("serve/test_http_*.py")}
    on_serve = {HERE / "client", HERE / "serve"}
    folders = {folder for folder in HERE.iterdir() if any(folder.glob("test_*.py"))}
    _import(*_LIBRARY)
    library = _Beside(folders - on_serve)
    _import("tests.unit.serve.service")
    # Much of this one is waiting for processes.
    rest = _Beside({*HERE.glob("serve/test_*.py"), HERE / "client", HERE.with_name("upkeep")} - http)
    codes = {_test(http), library.code(), rest.code()}
    if codes == {int(pytest.ExitCode.NO_TESTS_COLLECTED)}:
        return codes.pop()
    return max(map(abs, codes - _NOTHING_WRONG), default=0)


def _import(*names: str) -> None:
    """Import them as pytest does for a test: a warning is an error, and nothing is garbage until all is collected."""
    gc.disable()
    with warnings.catch_warnings(action="error"):
        for name in names:
            import_module(name)


def _test(paths: Iterable[Path]) -> int:
    return int(pytest.main(["-q", *sys.argv[1:], *map(str, sorted(paths))]))


class _Beside:
    """Tests in a process of their own, from now on."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._said = TemporaryFile()  # noqa: SIM115 - written by its process, read when that has ended
        self._process = get_context("fork").Process(target=_test_into, args=(self._said, paths))
        self._process.start()

    def code(self) -> int:
        """Its exit code, once it has ended and all it said is on this process's output."""
        self._process.join()
        with self._said as said:
            said.seek(0)
            sys.stdout.buffer.write(said.read())
        return self._process.exitcode or 0


def _test_into(said: IO[bytes], paths: Iterable[Path]) -> None:
    for stream in (sys.stdout, sys.stderr):
        os.dup2(said.fileno(), stream.fileno())
    code = _test(paths)
    atexit._run_exitfuncs()  # a process that was forked does not by itself
    sys.exit(code)


def _leave(code: int) -> None:
    """End without taking two thousand modules apart, which takes longer than a hundred tests."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
