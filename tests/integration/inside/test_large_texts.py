"""What a large text takes of a sandbox's memory, and what is said when it takes too much."""

from __future__ import annotations

import pytest

from tests.integration.inside.flows import Builder, component, flow_of, spec_of
from tests.integration.inside.host import Inside

_WITH_ROOM = """
import resource
from pathlib import Path
made = {made}
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + ({room_mib} << 20),) * 2)
return made
"""


@pytest.mark.parametrize("made", ['Message(text="z" * 20_000_000)', 'Data(data={"t": "z" * 20_000_000})'])
def test_a_large_text_takes_a_few_times_its_size(inside: Inside, build: Builder, made: str) -> None:
    code = component(_WITH_ROOM.format(made=made, room_mib=250), gives=made.split("(", 1)[0])

    heard = inside.do(spec_of(flow_of(build.node("Custom-1", code))))

    assert heard.error is None, heard.error
    (blob,) = heard.blobs
    assert len(blob) > 20_000_000


@pytest.mark.parametrize("made", ['Message(text="z" * 20_000_000)', 'Data(data={"t": "z" * 20_000_000})'])
def test_a_large_text_that_nothing_is_left_for_is_out_of_memory(inside: Inside, build: Builder, made: str) -> None:
    code = component(_WITH_ROOM.format(made=made, room_mib=60), gives=made.split("(", 1)[0])

    heard = inside.do(spec_of(flow_of(build.node("Custom-1", code))))

    assert heard.error is not None
    assert (heard.error["kind"], heard.error["node"]) == ("memory", "Custom-1")
