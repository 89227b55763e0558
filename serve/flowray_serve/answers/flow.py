"""Flows, their versions and tags, in Langflow's shapes."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from flowray_serve.answers.page import Page


class FlowFinding(TypedDict):
    """What was found in a flow: an error forbids running it, a warning names what a run may trip over."""

    severity: Literal["error", "warning"]
    code: str
    message: str
    node: str | None
    field: str | None


class FlowHeader(TypedDict):
    """A flow without its canvas, as Langflow's FlowHeader. `data` is null."""

    id: str
    name: str
    folder_id: str
    is_component: bool | None
    endpoint_name: str | None
    description: str | None
    data: dict[str, Any] | None
    access_type: str | None
    tags: list[str] | None
    mcp_enabled: bool | None
    flow_type: str | None
    a2a_enabled: bool | None
    a2a_card_overrides: dict[str, Any] | None
    action_name: str | None
    action_description: str | None
    updated_at: str | None
    version: str


class FlowRead(FlowHeader):
    """A flow, as Langflow's FlowRead. `version` names what it is now; `findings` come with what was just published."""

    user_id: str
    icon: str | None
    icon_bg_color: str | None
    gradient: str | None
    webhook: bool | None
    locked: bool | None
    workspace_id: str | None
    name_key: str | None
    version_token: str
    findings: NotRequired[list[FlowFinding]]


class FlowPage(Page):
    """One page of flows."""

    items: list[FlowRead | FlowHeader]


class VersionState(TypedDict):
    """What to send as `If-Match`, and when the flow last changed."""

    version_token: str
    last_modified_by: str
    last_modified_by_username: str
    updated_at: str | None


class VersionRead(TypedDict):
    """A version, as Langflow's FlowVersionRead, with what Langflow's versions do not have."""

    id: str
    flow_id: str
    user_id: str
    username: str
    version_number: int
    version_tag: str
    description: str | None
    created_at: str
    retained: bool
    retained_reason: str | None
    version: str
    current: bool
    published: bool
    tags: list[str]
    canary_of: dict[str, float]
    images: list[str]


class VersionWhole(VersionRead):
    """A version with its canvas, without the values of secrets."""

    data: dict[str, Any] | None


class CanaryRead(TypedDict):
    """A version that a share of a tag's runs goes to: 0 to 1."""

    version: str
    share: float


class VersionList(TypedDict):
    """A flow's versions, newest first, and where its tags stand."""

    entries: list[VersionRead]
    max_entries: int
    total: int
    tags: dict[str, str]
    canaries: dict[str, CanaryRead]


class VersionDifferences(TypedDict):
    """What is different between two versions; values of secrets are not shown."""

    before: str
    after: str
    same: bool
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    settings: list[dict[str, Any]]


class VersionKept(VersionRead):
    """A version that was kept; with `findings` when its canvas came with the request."""

    findings: NotRequired[list[FlowFinding]]


class TagSet(TypedDict):
    """Where a tag stands now, and where it stood before."""

    tag: str
    version: str
    before: str | None
    canary: NotRequired[CanaryRead]
