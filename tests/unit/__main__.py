"""The unit and upkeep tests as two pytests at once, each with its folders: python -m tests.unit [-x -k WORD ...].

Sharing tests out one by one (pytest-xdist) would have every process collect them all and a third one keep the books,
which costs more than it spreads here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_NOTHING_CHOSEN = int(pytest.ExitCode.NO_TESTS_COLLECTED)


def main() -> int:
    """Run both; what the second said comes after the first. 0 when nothing failed."""
    folders = sorted(folder for folder in HERE.iterdir() if any(folder.glob("test_*.py")))
    serve = HERE / "serve"
    rest = [*(folder for folder in folders if folder != serve), HERE.with_name("upkeep")]
    command = [sys.executable, "-m", "pytest", "-q", *sys.argv[1:]]
    with subprocess.Popen([*command, *map(str, rest)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as second:
        first = subprocess.run([*command, str(serve)], check=False).returncode
        said, _ = second.communicate()
    sys.stdout.buffer.write(said)
    codes = {first, second.returncode}
    return max(codes - {_NOTHING_CHOSEN}, default=_NOTHING_CHOSEN)


if __name__ == "__main__":
    sys.exit(main())
