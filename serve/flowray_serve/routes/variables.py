"""A run's own variables in headers, `X-LANGFLOW-GLOBAL-VAR-<NAME>`: HTTP is blind to case, so names are upper case."""

from __future__ import annotations

from starlette.requests import Request

_PREFIX = b"x-langflow-global-var-"


def header_variables(request: Request) -> dict[str, str]:
    """The variables by name."""
    return {
        name[len(_PREFIX) :].decode("latin-1").upper(): value.decode("latin-1")
        for name, value in request.headers.raw
        if name.startswith(_PREFIX) and len(name) > len(_PREFIX)
    }
