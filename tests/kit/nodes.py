"""A Ray cluster that FlowRay did not start: two nodes of this machine's loopback network, the second one labelled."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

_JOIN_S = 60
_BIN = Path(sys.executable).parent


@contextmanager
def running_nodes(folder: Path) -> Iterator[Mapping[str, str]]:
    """The settings that deploy a FlowRay there. The second node has the label `place=second`."""
    home = {"FLOWRAY_HOME": str(folder)}
    told = subprocess.run(
        [_BIN / "flowray", "node", "env", "--json"], env=os.environ | home, check=True, capture_output=True
    )
    environment = os.environ | json.loads(told.stdout)
    with socket.create_server(("127.0.0.2", 0)) as free:
        address = f"127.0.0.2:{free.getsockname()[1]}"
    head = (
        "--node-ip-address=127.0.0.2",
        "--head",
        f"--port={address.rpartition(':')[2]}",
        "--include-dashboard=false",
        f"--temp-dir={folder / 'run'}",
    )
    second = ("--node-ip-address=127.0.0.3", f"--address={address}", "--labels", "place=second")
    with ExitStack() as stack:
        for options in (head, second):
            stack.enter_context(_node(options, environment, folder))
        yield {
            "FLOWRAY_RAY__ADDRESS": address,
            "FLOWRAY_RAY__TOKEN_FILE": environment["RAY_AUTH_TOKEN_PATH"],
        }


@contextmanager
def _node(options: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    common = ("--num-cpus=2", "--object-store-memory=100000000", "--block")
    log = folder / f"node{len(list(folder.glob('node*.log')))}.log"
    with log.open("wb") as output:
        node = subprocess.Popen(
            [_BIN / "ray", "start", *options, *common], env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + _JOIN_S
        while "Ray runtime started" not in log.read_text():
            if node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"A node did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield
    finally:
        node.terminate()
        node.wait(60)
