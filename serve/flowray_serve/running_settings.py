"""The settings of what runs: Runners and what their steps may take, engines, flows that run flows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from flowray.errors import InvalidRequestError
from flowray.flow.hosts import HostRule
from flowray.sandbox.walls import LowerableWall
from flowray_serve.settings_group import SettingsGroup


def _readable(entry: str) -> str:
    try:
        HostRule.parse(entry)
    except InvalidRequestError as cause:
        raise ValueError(cause.message) from cause  # what pydantic takes for a wrong value
    return entry


def _a_pool_name(name: str) -> str:
    # Its Runners' deployment and log files are named after it.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}", name):
        raise ValueError("a pool's name has letters, digits, `_`, `.` and `-`, 60 at most, a letter or digit first")
    return name


PoolName = Annotated[str, AfterValidator(_a_pool_name)]
Host = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_readable)]


class LimitSettings(SettingsGroup):
    """What one step may take."""

    wall_s: float = Field(300, gt=0, le=86_400, description="Seconds from its start to its end.")
    memory_mib: int = Field(512, ge=64, le=1_048_576, description="MiB of memory of its own.")
    cpu_s: int = Field(300, ge=1, le=86_400, description="Seconds of CPU time.")
    open_files: int = Field(256, ge=32, le=65_536, description="Open file descriptors.")
    processes: int = Field(64, ge=8, le=4_096, description="Threads.")
    file_mib: int = Field(64, ge=1, le=65_536, description="MiB of one file.")
    cores: float = Field(0, ge=0, le=1_024, description="Cores at any moment; 0: an equal share of what there is.")


class EgressSettings(SettingsGroup):
    """What the connections of one run may use, all its steps together."""

    open: int = Field(
        32, ge=1, le=1_000, description="Connections at a time; each of a run's steps may have up to four."
    )
    connections: int = Field(1_000, ge=1, le=1_000_000, description="Connections in all.")
    up_mib: int = Field(256, ge=1, le=1_048_576, description="MiB sent by all together.")
    down_mib: int = Field(1_024, ge=1, le=1_048_576, description="MiB received by all together.")
    idle_s: float = Field(120, gt=0, le=86_400, description="Seconds without a byte after which one is cut.")
    connect_s: float = Field(10, gt=0, le=600, description="Seconds that looking up and reaching a host may take.")


class EngineSettings(SettingsGroup):
    """The deployment that drives queued runs."""

    replicas: int = Field(1, ge=1, le=1_000, description="How many engines there are at least.")
    most_replicas: int = Field(2, ge=1, le=1_000, description="How many engines there are at most.")
    standby: int = Field(1, ge=0, le=100, description="Engines beyond those, for when one dies.")
    runs: int = Field(64, ge=1, le=10_000, description="Runs that one engine drives at a time.")
    lease_s: float = Field(5.0, ge=1, le=600, description="Seconds after which a silent engine's runs are taken over.")
    takes: int = Field(5, ge=1, le=1_000, description="Engines that may be lost on a run before it is given up.")
    drain_s: float = Field(60.0, gt=0, le=86_400, description="Seconds a leaving engine gives its steps to end.")
    oldest_s: float = Field(1.0, gt=0, le=3_600, description="Seconds a run may wait before another engine is started.")


class SubflowSettings(SettingsGroup):
    """Flows that run flows."""

    depth: int = Field(5, ge=0, le=32, description="How many levels deep flows may run one another.")


class PoolSettings(SettingsGroup):
    """Runners of one kind."""

    cpu: float = Field(0.0, ge=0, le=1_024, description="Cores that Ray reserves per Runner.")
    memory_mib: int = Field(0, ge=0, le=16_777_216, description="MiB that Ray reserves per Runner.")
    gpu: float = Field(0.0, ge=0, le=64, description="GPUs that Ray reserves per Runner.")
    labels: dict[str, str] = Field({}, description="Labels a node of the cluster must have.")
    replicas: int = Field(1, ge=1, le=1_000, description="How many Runners, at the least.")
    most_replicas: int | None = Field(
        None, ge=1, le=1_000, description="How many Runners when steps fill those there are; unset: never more."
    )
    standby: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Warm Runners beyond those, for when one dies; unset: 1 for a lone one that reserves nothing.",
    )
    spares: int = Field(
        8,
        ge=1,
        le=512,
        description="Parked sandboxes per Runner; each costs a few MiB. A quarter is for tenants that run few steps.",
    )
    max_running: int = Field(32, ge=1, le=1_024, description="Steps that one Runner runs at a time.")
    step_cpu: float = Field(1.0, ge=0.01, le=1_024, description="Cores of a step whose components ask for none.")
    step_memory_mib: int | None = Field(
        None,
        ge=64,
        le=1_048_576,
        description="MiB of a step whose components ask for none; unset: `LIMITS__MEMORY_MIB`.",
    )
    tenants: tuple[str, ...] = Field((), description="The tenants whose steps run here, and no others'; empty: all.")
    zygote_s: int = Field(86_400, ge=60, le=31_536_000, description="Seconds after which its zygote is replaced.")
    zygote_forks: int = Field(
        100_000, ge=1_000, le=1_000_000_000, description="Sandboxes after which its zygote is replaced."
    )
    headroom: float = Field(
        0.5,
        ge=0,
        le=0.9,
        description="Part of the cores that a tenant with many steps leaves free while others have few; 0: none.",
    )
    image: Path | None = Field(
        None, description="Its environment image: a shipped one's name, or a lock's path; unset: `default`."
    )
    preload: tuple[str, ...] = Field((), description="Modules that its zygote imports in advance.")
    egress: tuple[Host, ...] = Field((), description="Hosts that runs may reach: `HOST`, `*.HOST`, `HOST:PORT`.")
    private_hosts: tuple[Host, ...] = Field((), description="Those of them, port included, that may be private.")
    lowered_walls: tuple[LowerableWall, ...] = Field(
        (), description="Walls that its sandboxes go without: `landlock`, `seccomp`. Takes exactly one of `tenants`."
    )

    @property
    def kept_warm(self) -> int:
        """How many Runners there are beyond those that the steps need."""
        if self.standby is not None:
            return self.standby
        return int(self.replicas == 1 and not (self.cpu or self.memory_mib or self.gpu))

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose steps run here, and no others'; empty: all."""
        return self.tenants

    @model_validator(mode="after")
    def _for_one_tenant(self) -> Self:
        if self.lowered_walls and len(self.tenants) != 1:
            raise ValueError("walls are lowered for one tenant, whom `tenants` has to name")
        return self
