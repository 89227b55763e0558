"""lfx's own surroundings, put in order once: what a sandbox has no use for is not looked for in each run."""

from __future__ import annotations

from lfx.utils import util


def settle() -> None:
    """Settle what lfx would find out again and again, or wrongly."""
    # Inside, 127.0.0.1 is the way to the gate's allow-list, never a container's gateway.
    util.get_container_host = lambda: None
