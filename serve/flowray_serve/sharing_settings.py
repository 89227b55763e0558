"""The settings of how tenants share: what each may have, whose turn it is, and what things cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from flowray.errors import InvalidRequestError
from flowray.flow.nearest import meant
from flowray.quotas.rate import CLASSES, rate_of
from flowray.quotas.settled import LARGEST
from flowray_serve.settings_group import SettingsGroup


def _a_class(name: str) -> str:
    if name not in CLASSES:
        raise ValueError(f"there is no such class of routes; there are {', '.join(CLASSES)}.{meant(name, CLASSES)}")
    return name


def _a_rate(text: str) -> str:
    try:
        rate_of(text)
    except InvalidRequestError as cause:
        raise ValueError(cause.message) from cause  # what pydantic takes for a wrong value
    return text


RateClass = Annotated[str, AfterValidator(_a_class)]
RateText = Annotated[str, AfterValidator(_a_rate)]
_MOST_MONEY = 1_000_000_000


class QuotaSettings(SettingsGroup):
    """What a tenant may have at one time when nothing else is settled for it; unset is no limit."""

    runs: int | None = Field(None, ge=0, le=LARGEST, description="Runs at a time.")
    queued: int | None = Field(None, ge=0, le=LARGEST, description="Runs that wait in the background.")
    steps: int | None = Field(None, ge=0, le=LARGEST, description="Steps at a time.")
    cpu: float | None = Field(None, ge=0, le=LARGEST, description="Cores of its running steps.")
    memory_mib: int | None = Field(None, ge=0, le=LARGEST, description="MiB of its running steps.")
    gpu: float | None = Field(None, ge=0, le=LARGEST, description="GPUs of its running steps.")
    stored_mib: int | None = Field(None, ge=0, le=LARGEST, description="MiB of uploaded files and versions of flows.")
    flows: int | None = Field(None, ge=0, le=LARGEST, description="Published flows.")
    wall_s: float | None = Field(None, gt=0, le=LARGEST, description="Seconds that one run may take.")


class SharingSettings(SettingsGroup):
    """How tenants share the pools."""

    fair: bool = Field(default=True, description="Weighted fair turns; off: first come, first served, whosever it is.")
    patience_s: float = Field(
        10, ge=0, le=3_600, description="Seconds after which a step too large for what is free has it kept free."
    )
    wait_s: float = Field(600, gt=0, le=86_400, description="Seconds that a step may wait for its turn.")


class ModelPrice(SettingsGroup):
    """A model's price for a million tokens."""

    input: float = Field(0.0, ge=0, le=_MOST_MONEY, description="Per million tokens read.")
    output: float = Field(0.0, ge=0, le=_MOST_MONEY, description="Per million tokens written.")


class PriceSettings(SettingsGroup):
    """What things cost, in whatever money the operator reckons."""

    models: dict[str, ModelPrice] = Field(
        {}, description="By model: the longest name that a model's own begins with counts; `*` is any other."
    )
    cpu_hour: float = Field(0.0, ge=0, le=_MOST_MONEY, description="An hour of processor time.")
    memory_gib_hour: float = Field(0.0, ge=0, le=_MOST_MONEY, description="A GiB of memory for an hour.")
