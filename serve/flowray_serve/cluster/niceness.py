"""How much a replica weighs against the sandboxes that it looks after.

Ray starts its workers at niceness 15, a thirtieth of everybody else's weight; a FlowRay that starts Ray itself tells it
not to. On a cluster that others started, the replica finds out here.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


def be_no_lighter() -> None:
    """Take the usual weight, where that is allowed; else say what it takes. To be called in a replica's constructor."""
    if os.getpriority(os.PRIO_PROCESS, 0) <= 0:
        return
    try:
        for thread in Path("/proc/self/task").iterdir():  # to Linux, each thread has a niceness of its own
            os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)
    except OSError:
        log.warning(
            "This replica yields to every sandbox; start Ray with RAY_worker_niceness=0 in its environment",
            extra={"action": "replica_nice", "niceness": os.getpriority(os.PRIO_PROCESS, 0)},
        )
