"""What the service says of itself and of who asks."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class Health(TypedDict):
    """Whether the service answers."""

    status: str


class HealthCheck(Health):
    """The same in Langflow's words."""

    chat: str
    db: str


class VersionOfService(TypedDict):
    """The version of this service and of the Langflow it is compatible with."""

    version: str
    main_version: str
    package: str
    flowray: str


class Message(TypedDict):
    """What was done."""

    message: str


class Detail(TypedDict):
    """What was done."""

    detail: str


class Deleted(TypedDict):
    """How many are gone."""

    deleted: int


class Token(TypedDict):
    """What to send as bearer token."""

    access_token: str
    refresh_token: str
    token_type: str


class User(TypedDict):
    """The tenant, as the user that Langflow's clients look for."""

    id: str
    username: str
    profile_image: str | None
    store_api_key: str | None
    is_active: bool
    is_superuser: bool
    create_at: str
    updated_at: str
    last_login_at: str | None
    optins: dict[str, Any] | None


class Session(TypedDict):
    """Whether the request says who it comes from, and who that is."""

    authenticated: bool
    user: User | None
    store_api_key: str | None


class Model(TypedDict):
    """A flow, as OpenAI's API describes a model."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelList(TypedDict):
    """The flows that can be asked as models."""

    object: str
    data: list[Model]
