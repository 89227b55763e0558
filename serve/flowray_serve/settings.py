"""All settings: one frozen tree, read once, by the composition root only.

A field `a.b` is set by the environment variable `FLOWRAY_A__B`; trees and lists take JSON. An unknown `FLOWRAY_*`
variable stops the start: a misspelt limit that is silently not there is worse than no start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowray.errors import SettingsError
from flowray_serve.origin_settings import Origins
from flowray_serve.running_settings import (
    EgressSettings,
    EngineSettings,
    Host,
    LimitSettings,
    PoolName,
    PoolSettings,
    SubflowSettings,
)
from flowray_serve.setting_problems import first_problem, nearest
from flowray_serve.settings_group import SettingsGroup
from flowray_serve.sharing_settings import PriceSettings, QuotaSettings, RateClass, RateText, SharingSettings
from flowray_serve.token_settings import IssuerSettings, TokenSettings

PREFIX = "FLOWRAY_"
# Read by the command line, not by the service.
CLIENT_VARIABLES = frozenset({"FLOWRAY_URL", "FLOWRAY_KEY"})

IssuerName = Annotated[str, Field(pattern="^[a-z0-9-]{1,40}$")]


class RaySettings(SettingsGroup):
    """The Ray cluster that all of it runs on."""

    address: str | None = Field(
        None,
        description="An existing cluster, as `HOST:PORT` or `auto`; unset: one on this machine, started with FlowRay.",
    )
    token_file: Path | None = Field(
        None, description="The file of the existing cluster's token; unset: the one that RAY_AUTH_TOKEN_PATH names."
    )


class RedisSettings(SettingsGroup):
    """Where what is hot is kept."""

    url: SecretStr | None = Field(None, description="A Redis or Valkey URL; unset: an embedded Valkey below the home.")


class ObjectSettings(SettingsGroup):
    """Where the record is kept."""

    url: str | None = Field(
        None, description="A folder, `file://` or `s3://bucket/prefix`; unset: a folder below the home."
    )
    options: dict[str, str] = Field(
        {},
        description="Options of the object store, such as `endpoint`, `region`, `access_key_id`, `secret_access_key`.",
    )


class BodySettings(SettingsGroup):
    """How much of a request is read."""

    run_mib: int = Field(8, ge=1, le=256, description="MiB of a run's body.")
    flow_mib: int = Field(16, ge=1, le=256, description="MiB of a flow.")
    file_mib: int = Field(64, ge=1, le=4_096, description="MiB of an uploaded file.")
    wait_s: float = Field(30.0, gt=0, le=3_600, description="Seconds that a body may take, whatever its size.")
    slowest_kib_s: int = Field(64, ge=1, le=1_048_576, description="KiB that buy another second.")


class GatewaySettings(SettingsGroup):
    """The deployment that answers HTTP."""

    replicas: int = Field(1, ge=1, le=1_000, description="How many gateways.")
    max_ongoing: int = Field(256, ge=1, le=10_000, description="Requests that one gateway works on at a time.")
    max_queued: int = Field(
        1_024, ge=1, le=100_000, description="Requests that wait beyond those before they are refused."
    )
    sync_s: float = Field(
        30.0, gt=0, le=86_400, description="Seconds that a synchronous run may take before it is stopped."
    )
    keep: Literal["failed", "all", "none"] = Field(
        "failed", description="Which synchronous runs can be run again: what they were asked for is kept, sealed."
    )
    per_tenant: int = Field(128, ge=1, le=10_000, description="Requests of one tenant among them, open streams too.")
    proxies: int = Field(
        1, ge=0, le=10, description="Trusted proxies in front, Serve's own HAProxy too: each appends whom it heard."
    )
    operator_port: int | None = Field(
        None, ge=1, le=65_535, description="A port of their own for operators' routes; unset: with all others."
    )
    cors_origins: Origins = Field(
        (), max_length=100, description="Origins whose pages may call from a browser, or `*` for all; empty: none."
    )


class AuditSettings(SettingsGroup):
    """What is put on record."""

    runs: bool = Field(default=False, description="Starts of runs too; each has a journal of its own anyway.")


class SecretSettings(SettingsGroup):
    """What secrets are encrypted with where they are kept."""

    keys: SecretStr | None = Field(
        None, description="Master keys, each `ID:BASE64` of 32 bytes, apart by commas: the newest seals, all open."
    )
    key_file: Path | None = Field(None, description="A file with them instead, one a line.")


class LogSettings(SettingsGroup):
    """What gateways, engines and Runners write down, one JSON object a line."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least that is written.")
    file_mib: int = Field(20, ge=1, le=10_000, description="MiB of a file before the next one is begun.")
    files: int = Field(5, ge=2, le=1_000, description="Files that one process keeps; the oldest makes room.")
    days: int = Field(14, ge=1, le=3_650, description="Days that files of processes that are gone are kept.")


class TraceSettings(SettingsGroup):
    """Where runs are told as traces."""

    url: str | None = Field(
        None,
        pattern="^https?://",
        description="Where an OpenTelemetry collector takes OTLP over HTTP, such as `http://otel:4318/v1/traces`; "
        "unset: nowhere.",
    )
    headers: dict[str, SecretStr] = Field({}, description="Headers that it wants, such as `authorization`.")
    share: float = Field(1.0, ge=0, le=1, description="The part of all traces that is kept; 1 is all.")
    within_s: float = Field(10.0, gt=0, le=60, description="Seconds that it may take to take them.")


class CallbackSettings(SettingsGroup):
    """Who is told of the end of background runs."""

    tries: int = Field(8, ge=1, le=100, description="Tries before a callback becomes a dead letter.")
    first_pause_s: float = Field(
        2.0, gt=0, le=3_600, description="Seconds before the second try; each further pause is twice as long."
    )
    private_hosts: tuple[Host, ...] = Field(
        (), description="Hosts that callbacks may reach although they are private, or speak plain HTTP."
    )


class RetentionSettings(SettingsGroup):
    """How long what is over is kept, unless a tenant has settled something else."""

    runs_days: float = Field(30.0, gt=0, le=36_500, description="Days that finished runs and their results are kept.")
    idempotency_h: float = Field(24.0, gt=0, le=8_760, description="Hours for which an idempotency key holds.")
    chats_days: float | None = Field(
        None, gt=0, le=36_500, description="Days that chats are kept in which nobody speaks; unset: for ever."
    )


class Settings(BaseSettings):
    """FlowRay's settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    mode: Literal["development", "production"] = Field(
        "development", description="`production` refuses to start with what is made up for one machine only."
    )
    home: Path = Field(Path("~/.flowray"), description="The folder of this FlowRay: state, logs, embedded stores.")
    host: str = Field("127.0.0.1", description="The address that HTTP listens on.")
    port: int = Field(8000, ge=1, le=65_535, description="The port that HTTP listens on.")
    images: Path | None = Field(None, description="Where environment images are; unset: below the user's cache folder.")
    durability: Literal["strict", "pipelined", "relaxed"] = Field(
        "pipelined", description="When a run's events are written: before going on, beside it, or at its end."
    )
    variables: dict[str, SecretStr] = Field({}, description="Variables of the tenant `default`, by name.")
    ray: RaySettings = Field(RaySettings(), description="The Ray cluster that all of it runs on.")
    redis: RedisSettings = Field(RedisSettings(), description="Where what is hot is kept.")
    objects: ObjectSettings = Field(ObjectSettings(), description="Where the record is kept.")
    logs: LogSettings = Field(LogSettings(), description="What is written down.")
    traces: TraceSettings = Field(TraceSettings(), description="Where runs are told as traces.")
    audit: AuditSettings = Field(AuditSettings(), description="What is put on record.")
    secrets: SecretSettings = Field(SecretSettings(), description="What secrets are encrypted with.")
    tokens: TokenSettings = Field(TokenSettings(), description="Bearer tokens of an OpenID Connect issuer.")
    issuers: dict[IssuerName, IssuerSettings] = Field(
        {}, description="Further issuers, by a name each; see the page on tenants."
    )
    limits: LimitSettings = Field(LimitSettings(), description="What one step may take.")
    egress: EgressSettings = Field(EgressSettings(), description="What the connections of one step may use.")
    bodies: BodySettings = Field(BodySettings(), description="How much of a request is read.")
    subflows: SubflowSettings = Field(SubflowSettings(), description="Flows that run flows.")
    gateway: GatewaySettings = Field(GatewaySettings(), description="The deployment that answers HTTP.")
    callbacks: CallbackSettings = Field(CallbackSettings(), description="Who is told of the end of background runs.")
    retention: RetentionSettings = Field(RetentionSettings(), description="How long what is over is kept.")
    engines: EngineSettings = Field(EngineSettings(), description="The deployment that drives queued runs.")
    quotas: QuotaSettings = Field(QuotaSettings(), description="What a tenant may have when nothing else is settled.")
    rates: dict[RateClass, RateText] = Field(
        {}, description="Rates of a tenant by route class, such as `100/s` or `600/min+50`; see the page on quotas."
    )
    sharing: SharingSettings = Field(SharingSettings(), description="How tenants share the pools.")
    prices: PriceSettings = Field(PriceSettings(), description="What things cost.")
    pools: dict[PoolName, PoolSettings] = Field(
        {"default": PoolSettings()}, min_length=1, description="The Runner pools by name."
    )

    @property
    def url(self) -> str:
        """Where HTTP is answered."""
        return f"http://{self.host}:{self.port}"

    @field_validator("home", "images", mode="before")
    @classmethod
    def _empty_is_unset(cls, given: Any, about: ValidationInfo) -> Any:
        # As a path, an empty text is the folder that one happens to be in.
        return cls.model_fields[str(about.field_name)].default if given == "" else given


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; `SettingsError` names the variable at fault, and the nearest known one when it is unknown."""
    _refuse_unknown(environment)
    try:
        return Settings()
    except (ValidationError, ValueError) as cause:
        raise SettingsError(first_problem(cause, Settings, PREFIX, environment)) from cause


def variable_names(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """The environment variables of all settings that are not inside a named tree (a pool)."""
    for name, field in model.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from variable_names(group, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = sorted({*variable_names(), *CLIENT_VARIABLES, *_groups()})
    for name in environment:
        read = name.upper()  # as settings are read, in whatever case
        if not read.startswith(PREFIX) or read in known or read.startswith(f"{PREFIX}POOLS__"):
            continue
        said = nearest(read, known)
        raise SettingsError(
            f"The environment variable `{name}` is not a setting. Did you mean `{said}`? Else unset it."
        )


def _groups() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        if any(
            isinstance(part, type) and issubclass(part, BaseModel)
            for part in (field.annotation, *get_args(field.annotation))
        ):
            yield f"{PREFIX}{name.upper()}"
