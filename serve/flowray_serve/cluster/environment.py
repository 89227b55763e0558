"""The environment that Ray and Serve read: what makes them fast, closed, and able to live beside a second FlowRay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports on loopback that nobody else uses; `replicas` is the first of a range."""

    proxy_statistics: int
    proxy_metrics: int
    fallback_http: int
    fallback_grpc: int
    dashboard_metrics: int
    autoscaler_metrics: int
    replicas: int


_REPLICA_PORTS = 100
# The folder, below that of a run, in which Ray's control store writes down its state. It outlives the store's process,
# so that one that dies goes on where it was, with all actors; not on Redis, whose loss must not be Ray's.
STATE = "g"

_FAST = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # One event loop answers: a second HAProxy thread only takes turns with it.
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # A datagram per request, counted by a Python actor: the gateway counts its requests itself.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    # Ten looks a second at what is deployed take a twentieth of a core for ever; it hardly changes.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
    # Nor do figures that are read every few seconds have to be passed on ten times a second, by each replica.
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
    # Nor do those of each process on the machine have to be read more often than anybody collects them.
    "REPORTER_UPDATE_INTERVAL_MS": "15000",
}
_AWAKE = {
    # Ray starts its workers at niceness 15. The gateways and Runners are among them: at a thirtieth of everybody else's
    # weight they would wait for the very sandboxes that they look after.
    "RAY_worker_niceness": "0",
}
_WATCHFUL = {
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "2",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
_PATIENT = {
    # By default a proxy that is not up within 5 s is killed, and with it the start of the service: on a machine that is
    # busy HAProxy alone takes longer.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_HAPROXY_STARTUP_TIMEOUT_S": "60",
}
_CLOSED = {
    "RAY_AUTH_MODE": "token",
    # Else Ray turns a node address of 127.0.0.1 into that of a network card, and listens on all of them.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Calls between deployments go as actor calls, which the token covers (see `side_door`).
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "0",
}
_STOPS_SOON = {
    # One machine, one HAProxy, no load balancer that would have to notice: nothing to wait for.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "30",
}


def driver_environment(token: Path | None) -> Mapping[str, str]:
    """Return what a process needs that deploys on a cluster which others started with `ray_environment`."""
    return {**_FAST, **_CLOSED, **({} if token is None else {"RAY_AUTH_TOKEN_PATH": str(token)})}


def node_environment(*, token: Path, run: Path, launcher: Path, ports: Ports) -> Mapping[str, str]:
    """Return what Ray has to be started in on a node of several, whose address is no loopback one."""
    own = ray_environment(token=token, run=run, launcher=launcher, ports=ports)
    return {**own, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}


def ray_environment(*, token: Path, run: Path, launcher: Path, ports: Ports) -> Mapping[str, str]:
    """Return what has to be in the environment before Ray is imported. `run` is a short path: sockets go below it."""
    proxy = run / "p"
    return {
        **_FAST,
        **_AWAKE,
        **_WATCHFUL,
        **_PATIENT,
        **_CLOSED,
        **_STOPS_SOON,
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": str(run / STATE),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "c"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "a"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(proxy / "m"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "s"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.proxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.proxy_statistics),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas + _REPLICA_PORTS - 1),
        # Where HAProxy turns while it takes no replica for well. By default one port for all services of a machine: a
        # request, with its key, would reach another service.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
        "AUTOSCALER_METRIC_PORT": str(ports.autoscaler_metrics),
    }
