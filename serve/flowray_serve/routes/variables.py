"""What headers say of a run: its own variables, `X-LANGFLOW-GLOBAL-VAR-<NAME>`, its priority, its trace.

HTTP is blind to case, so names of variables are upper case.
"""

from __future__ import annotations

from starlette.requests import Request

from flowray.errors import InvalidRequestError
from flowray.observe.trace_context import TRACEPARENT_CHARS, above
from flowray.quotas.ticket import PRIORITIES

_PREFIX = b"x-langflow-global-var-"


def header_variables(request: Request) -> dict[str, str]:
    """The variables by name."""
    return {
        name[len(_PREFIX) :].decode("latin-1").upper(): value.decode("latin-1")
        for name, value in request.headers.raw
        if name.startswith(_PREFIX) and len(name) > len(_PREFIX)
    }


def header_trace(request: Request) -> str:
    """The W3C `traceparent` that the run is part of; empty without one, or with what is none."""
    said = request.headers.get("traceparent", "")
    return said[:TRACEPARENT_CHARS] if above(said) else ""


def header_priority(request: Request) -> int:
    """The run's priority among those of its tenant, from `x-flowray-priority`; 0 without one."""
    text = request.headers.get("x-flowray-priority")
    if text is None:
        return 0
    lowest, highest = PRIORITIES
    try:
        priority = int(text)
    except ValueError:
        priority = highest + 1
    if not lowest <= priority <= highest:
        raise InvalidRequestError(f"`x-flowray-priority` must be a whole number from {lowest} to {highest}.")
    return priority
