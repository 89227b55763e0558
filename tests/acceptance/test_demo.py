"""The demo with a model: what somebody who has a key sees first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from flowray_serve.cluster.ports import free_port
from tests.kit.llm import Llm

_WITHIN_S = 240


def test_the_demo_also_runs_a_chat_when_there_is_a_model(tmp_path: Path, llm: Llm) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWRAY_")}
    environment = {**kept, **llm.variables, "FLOWRAY_HOME": str(tmp_path), "FLOWRAY_PORT": str(free_port())}

    done = subprocess.run(
        [str(Path(sys.executable).with_name("flowray")), "demo"],
        env=environment,
        timeout=_WITHIN_S,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "grace@example.org" in done.stdout
    assert "What is Ray? One sentence." in done.stdout
