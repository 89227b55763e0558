"""Serve's second way into a replica, kept shut.

A replica of Ray 2.60 listens for calls between deployments on a port of every interface, and unpickles what arrives
there before it asks who sent it; Ray's token does not cover that port. Our steps go over lanes, and Serve's own calls
as actor calls.
"""

from __future__ import annotations

from typing import Any


def shut_side_door() -> None:
    """Keep the replica of this process from opening that port. To be called in a deployment's constructor."""
    from ray.serve._private import replica

    def no_port(_server: Any, _address: str) -> int:
        return 0

    replica.add_port_to_grpc_server = no_port  # type: ignore[attr-defined]
