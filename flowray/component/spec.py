"""What a component takes, gives and needs: the Spec the planner reads, named by the SHA-256 of its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Any

from flowray.flow.types import Field, Json, Output


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Where a component has to run; zero and empty mean no demand.

    `memory_mib` in MiB, `gpu` in whole or fractional devices, `pool` the name of a Runner pool. `heavy` work is worth a
    sandbox of its own beside other heavy work. What runs `alone` shares its sandbox only with what it cannot be parted
    from.
    """

    cpu: float = 0.0
    memory_mib: int = 0
    gpu: float = 0.0
    pool: str | None = None
    heavy: bool = False
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """One version of one component.

    `digest` is the full SHA-256 (hex) of its source; `origin` says who vouches for the spec: "lfx" (the installed
    component index), "sandbox" (extracted from a published flow) or "flow" (claimed by the export, not verified).
    `terms` are those its author set (see `terms`). `problem` is set when extraction failed: the component's own error,
    as text.
    """

    digest: str
    name: str
    display_name: str
    fields: Mapping[str, Field]
    outputs: tuple[Output, ...]
    base_classes: tuple[str, ...] = ()
    needs: Needs = Needs()
    terms: Mapping[str, Any] = _field(default_factory=dict)
    imports: tuple[str, ...] = ()
    origin: str = "flow"
    problem: str | None = None
    frontend: Mapping[str, Json] = _field(default_factory=dict, repr=False, compare=False)
