"""Ray's head on this machine, as children of this process: it goes when this process goes."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowray.errors import FlowRayError
from flowray_serve.cluster.environment import STATE

_MIB = 1024 * 1024
_SESSIONS_KEPT = 2
GCS = "gcs_server"


class RayError(FlowRayError):
    """Ray could not be started."""

    code = "ray_unavailable"
    status = 503


@dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """What of this machine Ray gets. `cpus` None: what the machine has."""

    run: Path
    cpus: int | None = None
    object_store_mib: int = 128
    dashboard: bool = False


def enter(environment: Mapping[str, str]) -> None:
    """Set what Ray and Serve read when they are imported, so this comes before that."""
    if "ray" in sys.modules:
        raise RayError("Ray was imported before its environment was set.")
    os.environ.update(environment)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # Ray is a dozen interpreters; without bytecode each starts slowly


def start_head(options: HeadOptions) -> None:
    """Start Ray and connect this process to it as the driver that owns the service.

    The driver has to stay: when it goes, Ray ends the workers of everything it deployed.
    """
    sessions = options.run / "ray"
    _sweep(sessions)
    shutil.rmtree(options.run / STATE, ignore_errors=True)  # of a cluster that is gone
    os.chdir(options.run)  # Ray puts the driver's folder on its workers' path, and nobody's modules belong there
    import ray

    if not options.dashboard:
        _leave_out_what_nobody_asks()
    try:
        ray.init(
            num_cpus=options.cpus,
            object_store_memory=options.object_store_mib * _MIB,
            include_dashboard=options.dashboard,
            namespace="flowray",
            log_to_driver=False,
            logging_level=logging.WARNING,
            _temp_dir=str(sessions),
            _node_ip_address="127.0.0.1",
        )
    except Exception as cause:
        raise RayError(f"Ray did not start: {cause}. Its logs are in {sessions}.") from cause


def stop_head() -> None:
    """Stop Serve and Ray."""
    import ray
    from ray import serve

    if not ray.is_initialized():
        return
    try:
        serve.shutdown()  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def join(address: str) -> None:
    """Connect this process to a cluster that others look after, as the driver that owns the service."""
    import ray

    try:
        ray.init(address=address, namespace="flowray", log_to_driver=False, logging_level=logging.WARNING)
    except Exception as cause:
        raise RayError(f"The Ray cluster at {address} cannot be joined: {cause}") from cause


def serves() -> bool:
    """Whether the cluster serves something already, from its proxy's port: this service, if its driver was killed."""
    from ray import serve

    return bool(serve.status().proxies)


def leave(application: str) -> None:
    """Take the service off the cluster; where nothing else is served there, Serve as well, whose proxy has the port."""
    import ray
    from ray import serve

    if not ray.is_initialized():
        return
    try:
        serve.delete(application)
        if not serve.status().applications:
            serve.shutdown()  # type: ignore[no-untyped-call]  # Ray
    finally:
        ray.shutdown()


class HeadDaemons:
    """Ray's own processes below this one; none where this process has joined another's cluster."""

    def dead(self) -> list[str]:
        """The names of those that have died."""
        node = self._node()
        return [name for name, _ in node.dead_processes()] if node is not None else []

    def revive_gcs(self) -> None:
        """Start the control store again, from what it had written down; all else in Ray waits for it meanwhile."""
        node = self._node()
        if node is None:
            raise RayError("Ray does not run here.")
        node.all_processes.pop(GCS, None)
        node._gcs_address = node._gcs_client = None  # noqa: SLF001
        try:
            node.start_gcs_server()
        except Exception as cause:
            raise RayError(f"Ray's control store did not start again: {cause}") from cause

    def _node(self) -> Any:
        from ray._private import worker

        return worker._global_node  # noqa: SLF001 - Ray restarts nothing of its own, and tells its driver of nothing


def _leave_out_what_nobody_asks() -> None:
    """Keep Ray from starting three daemons (290 MB, 3 s of CPU) that one machine without a dashboard has no use for.

    The autoscaler's monitor (there is nothing to scale), the log monitor (nothing is sent to the driver) and the API
    server. Ray has no options for them.
    """
    from ray._private.node import Node

    def nothing(_: Node, **__: Any) -> None:
        return None

    for name in ("start_monitor", "start_log_monitor", "start_api_server"):
        setattr(Node, name, nothing)


def _sweep(sessions: Path) -> None:
    """Remove the logs of all sessions but the last ones."""
    old = sorted(path for path in sessions.glob("session_*") if path.is_dir() and not path.is_symlink())
    for path in old[:-_SESSIONS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
