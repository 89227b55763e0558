"""The unit and upkeep tests as three pytests at once, each with its files: python -m tests.unit [-x -k WORD ...].

Sharing tests out one by one (pytest-xdist) would have every process collect them all and another one keep the books,
which costs more than it spreads here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_NOTHING_CHOSEN = int(pytest.ExitCode.NO_TESTS_COLLECTED)


def main() -> int:
    """Run them; what the others said comes after the first. 0 when nothing failed."""
    command = [sys.executable, "-m", "pytest", "-q", *sys.argv[1:]]
    first, *others = ([*command, *map(str, part)] for part in _parts())
    at_once = [subprocess.Popen(other, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for other in others]
    codes = {subprocess.run(first, check=False).returncode}
    for other in at_once:
        said, _ = other.communicate()
        sys.stdout.buffer.write(said)
        codes.add(other.returncode)
    return max(codes - {_NOTHING_CHOSEN}, default=_NOTHING_CHOSEN)


def _parts() -> Iterator[Sequence[Path]]:
    """The HTTP API, what else serves it (where tests wait for processes), and all the rest: about as much work each."""
    http = sorted(HERE.glob("serve/test_http_*.py"))
    yield http
    yield sorted({*HERE.glob("serve/test_*.py")} - {*http})
    folders = sorted(folder for folder in HERE.iterdir() if any(folder.glob("test_*.py")))
    yield [*(folder for folder in folders if folder.name != "serve"), HERE.with_name("upkeep")]


if __name__ == "__main__":
    sys.exit(main())
