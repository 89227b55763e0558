"""The descriptors with a place of their own in the zygote; a child keeps the channel and the standard ones only.

Until its spec is read, it may keep a rule set (`ALLOWED`) that the spec completes.
"""

from __future__ import annotations

import fcntl
import os

from flowray_sandbox import syscalls

CHANNEL, CONTROL, NULL, RULES, THEIRS, ORDERS, ALLOWED = 3, 4, 5, 6, 7, 8, 9
_LAST = ALLOWED


def take_over(control: int) -> None:
    """Give each its place and close all others: one of a host folder would be a way out."""
    null = os.open("/dev/null", os.O_RDWR)
    control, null = (fcntl.fcntl(descriptor, fcntl.F_DUPFD, _LAST + 1) for descriptor in (control, null))
    os.dup2(control, CONTROL)
    for place in (CHANNEL, NULL, RULES, THEIRS, ORDERS, ALLOWED):
        os.dup2(null, place)
    syscalls.close_from(_LAST + 1)
