"""What a tenant keeps beside flows: projects, variables, files."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from flowray_serve.answers.flow import FlowPage, FlowRead


class ProjectRead(TypedDict):
    """A project, as Langflow's FolderRead."""

    id: str
    name: str
    description: str | None
    auth_settings: dict[str, Any] | None
    parent_id: str | None
    owner_username: NotRequired[str]
    is_owner: NotRequired[bool]


class ProjectWhole(ProjectRead):
    """A project with its flows."""

    flows: list[FlowRead]


class ProjectPage(TypedDict):
    """A project with one page of its flows, as Langflow's FolderWithPaginatedFlows."""

    folder: ProjectRead
    flows: FlowPage


class VariableRead(TypedDict):
    """A variable, as Langflow's VariableRead. `value` is null for secrets."""

    id: str
    name: str
    type: str
    value: str | None
    has_value: bool
    default_fields: list[str]
    is_owner: bool
    can_manage_shares: bool
    validation_error: str | None
    is_valid: bool | None


class VariablesNamed(TypedDict):
    """The variables that flows name."""

    variables: list[str]


class FileInShort(TypedDict):
    """A file that was uploaded. `path` is what flows name; `size` is in bytes."""

    id: str
    name: str
    path: str
    size: int
    provider: str | None


class FileRead(FileInShort):
    """A file of a list."""

    created_at: str
    updated_at: str
    user_id: str


class FlowFile(TypedDict):
    """A file that was uploaded for a flow."""

    flowId: str
    file_path: str


class FlowFiles(TypedDict):
    """The names of a flow's files."""

    files: list[str]
