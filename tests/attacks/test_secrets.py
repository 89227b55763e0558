"""Secrets: those of the service never come near a sandbox, and those of a run never come out of it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.integration.service.test_isolation import everything_kept
from tests.kit.door import Door, run_body
from tests.kit.footprint import runner_of
from tests.kit.probes import probe, source
from tests.kit.processes import descendants
from tests.kit.reference import Reference
from tests.kit.service import Service

SECRET = "sk-walls-9f8e7d6c5b4a"
OTHERS = "sk-somebody-elses-1a2b3c"
TELLS = """
    import os
    import sys
    key = os.environ["API_TOKEN"]
    print("out", key)
    print("err", key, file=sys.stderr)
    self.log("log " + key)
    self.status = key
    raise ValueError("it is " + key)
"""


def test_no_process_of_a_sandbox_holds_a_secret_of_the_service_or_of_another_tenant(
    service: Service, door: Door, reference: Reference
) -> None:
    door.http.post("/api/v1/variables/", json={"name": "OTHERS_KEY", "value": OTHERS}).raise_for_status()
    door.run(door.publish(probe(reference, source())), "go", variables={"API_TOKEN": SECRET})
    home = Path(service.environment["FLOWRAY_HOME"])
    files = [home / "secret", home / "valkey" / "password"]
    secrets = [service.key, OTHERS, SECRET, *(file.read_text().strip() for file in files)]
    below = descendants(runner_of(service.supervisor))
    sandboxes = [pid for pid, command in below.items() if "flowray_sandbox" in command]

    looked_at = 0
    for pid in sandboxes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a sandbox that ends meanwhile
            held = [Path(f"/proc/{pid}/environ").read_bytes(), below[pid].encode(), *memory_of(pid)]
            assert [one[:6] for one in secrets for part in held if one.encode() in part] == []
            looked_at += 1
    assert looked_at >= 2


def memory_of(pid: int) -> Iterator[bytes]:
    """What a process can write to: its heap and all else that it may hold a secret in."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found and "[v" not in line:
                start, end = (int(one, 16) for one in found.groups())
                with contextlib.suppress(OSError):  # nothing is behind it
                    memory.seek(start)
                    yield memory.read(end - start)


def test_a_secret_that_a_component_tells_everybody_is_seen_by_nobody(
    service: Service, door: Door, reference: Reference
) -> None:
    flow = door.publish(probe(reference, source(body=TELLS)))

    failed = door.http.post(f"/api/v1/run/{flow}", json=run_body("go", variables={"API_TOKEN": SECRET}))

    run = failed.headers["x-flowray-run"]
    assert "it is *****" in failed.text
    seen = [
        failed.text,
        door.http.get(f"/api/v1/runs/{run}").text,
        door.http.get(f"/api/v1/runs/{run}/events").text,
        *(
            door.http.get(f"/api/v1/monitor/{what}?flow_id={flow}").text
            for what in ("builds", "transactions", "traces")
        ),
    ]
    assert "out *****" in seen[2]
    assert [text for text in seen if SECRET in text] == []
    assert [where for where, content in everything_kept(service) if SECRET.encode() in content] == []
    assert [file for file in service.logs if SECRET.encode() in file.read_bytes()] == []
