"""OpenAI's way to say that something went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

# Below it every error has OpenAI's `error` beside a problem document's members: its clients read nothing else.
PREFIX = "/v1/"
_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def error_body(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """An error as an answer has it."""
    return {"error": {"message": message, "type": kind, **({"code": code} if code else {})}}


def error_of(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The error that a problem document tells of."""
    failed = problem["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = _KINDS.get(problem["status"], "server_error" if failed else "invalid_request_error")
    return error_body(problem["detail"], kind=kind, code=problem["code"])
