"""A service's deployments, as Ray Serve takes them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ray import serve
from ray.serve import Application

from flowray.errors import FlowRayError
from flowray_serve.deployments.engine import EngineReplica, Works
from flowray_serve.deployments.gateway import Front, GatewayReplica
from flowray_serve.deployments.runner import Post, RunnerReplica
from flowray_serve.deployments.scaling import QueuePolicy, RunnersForSteps

APPLICATION = "flowray"
_MIB = 1024 * 1024
_DRAIN_MARGIN_S = 10.0


class DeployError(FlowRayError):
    """A deployment did not come up."""

    code = "deploy_failed"
    status = 503


@dataclass(frozen=True, kw_only=True)
class RunnerShape:
    """How many Runners a pool has, at least and at most, how many steps each runs, and what it takes of its node.

    `standby` are kept warm beyond them.
    """

    replicas: int = 1
    most_replicas: int = 1
    standby: int = 0
    capacity: int = 1
    cpu: float = 0.0
    memory_mib: int = 0
    gpu: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    drain_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class GatewayShape:
    """How many gateways there are, and how many requests each works on, and lets wait."""

    replicas: int = 1
    max_ongoing: int = 256
    max_queued: int = 1024
    drain_s: float = 20.0


@dataclass(frozen=True, kw_only=True)
class EngineShape:
    """How many engines there are, and when there are more: see `scaling`. `standby` are there beyond them."""

    replicas: int = 1
    most_replicas: int = 4
    standby: int = 0
    runs: int = 64
    oldest_s: float = 1.0
    drain_s: float = 60.0


def engines(shape: EngineShape, build: Callable[[str], Awaitable[Works]]) -> Application:
    """Return the deployment of the engines."""
    most = max(shape.replicas, shape.most_replicas)
    wishes = {"runs_each": shape.runs, "patience_s": shape.oldest_s, "most": most, "standby": shape.standby}
    policy = {"policy_function": QueuePolicy, "policy_kwargs": wishes}
    as_deployment = serve.deployment(
        name="engine",
        ray_actor_options={"num_cpus": 0},
        autoscaling_config=_growing(shape.replicas, most + shape.standby, policy),
        graceful_shutdown_timeout_s=shape.drain_s + _DRAIN_MARGIN_S,
        graceful_shutdown_wait_loop_s=0.1,
        health_check_period_s=2,
        health_check_timeout_s=10,
        max_surge_percent=100,
    )
    return as_deployment(EngineReplica).bind(build)


def runner_pool(name: str, shape: RunnerShape, build: Callable[[str], Awaitable[Post]]) -> Application:
    """Return the deployment of a pool."""
    resources: dict[str, Any] = {"num_cpus": shape.cpu, "num_gpus": shape.gpu}
    if shape.memory_mib:
        resources["memory"] = shape.memory_mib * _MIB
    if shape.labels:
        resources["label_selector"] = dict(shape.labels)
    as_deployment = serve.deployment(
        name=f"runner-{name}",
        **_replicas(shape),
        ray_actor_options=resources,
        max_ongoing_requests=8,
        graceful_shutdown_timeout_s=shape.drain_s,
        graceful_shutdown_wait_loop_s=0.1,
        health_check_period_s=2,
        health_check_timeout_s=10,
        max_surge_percent=100,
    )
    return as_deployment(RunnerReplica).bind(build)


def _replicas(shape: RunnerShape) -> dict[str, Any]:
    if shape.most_replicas <= shape.replicas and not shape.standby:
        return {"num_replicas": shape.replicas}
    most = max(shape.replicas, shape.most_replicas)
    wishes = {"capacity": shape.capacity, "most": most, "standby": shape.standby}
    policy = {"policy_function": RunnersForSteps, "policy_kwargs": wishes}
    return {"autoscaling_config": _growing(shape.replicas, most + shape.standby, policy)}


def _growing(least: int, most: int, policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return how Serve scales: soon up, late down, by what the replicas record."""
    return {
        "min_replicas": least,
        "max_replicas": max(least, most),
        "metrics_interval_s": 1.0,
        "look_back_period_s": 5.0,
        "upscale_delay_s": 2.0,
        "downscale_delay_s": 120.0,
        "policy": policy,
    }


def gateway(
    shape: GatewayShape,
    build: Callable[[str, Mapping[str, Any]], Awaitable[Front]],
    runners: Mapping[str, Application],
    engine: Application,
) -> Application:
    """Return the whole application: the gateway, the pools and the engines behind it."""
    as_deployment = serve.deployment(
        name="gateway",
        num_replicas=shape.replicas,
        # Of a request Serve would write a line that says less than the journal's: a twentieth of a gateway's time.
        logging_config={"log_level": "WARNING"},
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=shape.max_ongoing,
        max_queued_requests=shape.max_queued,
        graceful_shutdown_timeout_s=shape.drain_s,
        graceful_shutdown_wait_loop_s=0.1,
        health_check_period_s=2,
        health_check_timeout_s=10,
        max_surge_percent=100,
    )
    return as_deployment(GatewayReplica).bind(build, dict(runners), engine)


def deploy(application: Application, *, host: str, port: int) -> None:
    """Start Serve with HTTP at host and port, deploy, and wait until everything runs."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
    try:
        serve.run(application, name=APPLICATION, route_prefix="/")
    except RuntimeError as cause:
        raise DeployError(f"The service could not be deployed. {_why()}") from cause


def _why() -> str:
    """Return what the deployments say of themselves that are not well."""
    application = serve.status().applications.get(APPLICATION)
    if application is None:
        return ""
    told = [
        f"{name}: {deployment.message}"
        for name, deployment in application.deployments.items()
        if deployment.status != "HEALTHY" and deployment.message
    ]
    return "\n".join(told) or application.message
