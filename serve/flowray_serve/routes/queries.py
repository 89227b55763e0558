"""Query parameters that say yes or no, for routes that read them by hand."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import HTTPConnection

_YES: Final = frozenset({"1", "true", "yes", "on"})
# A client that leaves a stream leaves the run alone, unless it says that it wants it stopped.
CANCEL: Final = "cancel_on_disconnect"


def says_yes(connection: HTTPConnection, name: str) -> bool:
    """Whether the parameter is there and says yes."""
    if not connection.scope["query_string"]:
        return False
    return connection.query_params.get(name, "").lower() in _YES


def described(**parameters: str) -> dict[str, Any]:
    """What to give a route as `openapi_extra`: its parameters by name, each with what it is for."""
    return {
        "parameters": [
            {"in": "query", "name": name, "schema": {"type": "boolean", "default": False}, "description": text}
            for name, text in parameters.items()
        ]
    }
