"""What a child does while it is parked, so that its run finds it done: the pages that each run writes to are its own.

A fork shares all pages, and each is copied when it is first written to. Reading a spec, counting its limits and
compiling a line of code copies some sixty of them: a third of the time from a spec to the first line of its code.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from flowray_sandbox.allowance import Allowance

_SPEC = b'{"job": "", "code": "import time; result = time.monotonic()", "limits": {}, "egress": [], "packages": null}'


def get_ready(allowance: Allowance) -> None:
    """Do once, to no purpose, what begins each run."""
    spec = read(_SPEC)
    allowance.count(spec)
    exec(spec["code"], {})  # noqa: S102 - our own line


def read(spec: bytes) -> Any:
    """Read a spec with what runs read theirs with, where the zygote has it; bare ones have Python's own."""
    return (sys.modules.get("orjson") or json).loads(spec)
