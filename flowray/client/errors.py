"""Problem documents back into the errors they came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar, get_args

import httpx

from flowray import errors
from flowray.client.calls import Call
from flowray.engine import failures
from flowray.engine.failures import RunFailedError
from flowray.errors import FlowRayError

T = TypeVar("T")
_STANDARD_MEMBERS = frozenset({"type", "title", "status", "detail", "code", "fault", "instance", "run"})
# What a proxy answers in place of a service that restarts, and a service while a store of its own is away.
AWAY = frozenset({502, 503, 504})


class ServiceUnreachableError(FlowRayError):
    """Nothing answers at the service's address, or it broke off."""

    code = "service_unreachable"
    status = 503

    @classmethod
    def at(cls, url: str, cause: Exception) -> ServiceUnreachableError:
        """The error for a request to `url` that got no answer."""
        why = str(cause).rstrip(".") or type(cause).__name__
        return cls(f"FlowRay does not answer at {url}: {why}. Is it up? `flowray up` starts one here.")


def _by_code() -> dict[str, type[FlowRayError]]:
    known = [*vars(errors).values(), *vars(failures).values()]
    classes = [one for one in known if isinstance(one, type) and issubclass(one, FlowRayError)]
    return {one.code: one for one in classes}


_ERRORS = _by_code()
_KINDS = {404: errors.NotFoundError, 409: errors.ConflictError, 422: errors.InvalidRequestError}


def error_of(response: httpx.Response) -> FlowRayError:
    """The error that an unsuccessful response stands for."""
    document = _document(response)
    if document is None:
        return _not_flowray(response)
    return error_in(document, otherwise=response.reason_phrase)


def read(call: Call[T], response: httpx.Response) -> T:
    """What a successful response says; `FlowRayError` when it is somebody else's page."""
    try:
        return call.read(response)
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise _not_flowray(response) from cause


def _not_flowray(response: httpx.Response) -> FlowRayError:
    answered = f"{response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in AWAY:
        return ServiceUnreachableError(f"{response.url} answered {answered} in place of FlowRay.")
    return FlowRayError(f"What answers at {response.url} is not FlowRay: {answered}.")


def error_in(document: Mapping[str, object], *, otherwise: str = "Something went wrong.") -> FlowRayError:
    """The error that a problem document stands for."""
    detail = str(document.get("detail") or otherwise)
    error_class = _ERRORS.get(str(document.get("code"))) or _unlisted(document)
    if issubclass(error_class, RunFailedError):
        facts = {name: fact for name, fact in document.items() if name not in _STANDARD_MEMBERS}
        return error_class(detail, str(document.get("run", "")), facts)
    return error_class(detail)


def _unlisted(document: Mapping[str, object]) -> type[FlowRayError]:
    """A class for an error that only the service has: of its kind by its status, with its own code."""
    status, fault = document.get("status"), document.get("fault")
    base = _KINDS.get(status if isinstance(status, int) else 0, FlowRayError)
    known = {"code": str(document.get("code") or base.code), "status": status or base.status}
    return type(base.__name__, (base,), {**known, "fault": fault if fault in get_args(errors.Fault) else base.fault})


def _document(response: httpx.Response) -> dict[str, object] | None:
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) and "code" in document else None
