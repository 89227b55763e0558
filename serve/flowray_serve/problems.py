"""Every error leaves as a problem document (RFC 9457) with a stable `code`, whatever raised it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowray.engine.codec import dumps
from flowray.engine.failures import RunFailedError
from flowray.errors import FlowRayError, InvalidRequestError
from flowray.quotas.refusals import TooMuchError
from flowray_serve.openai_error import PREFIX, error_of
from flowray_serve.problem_document import MEDIA_TYPE, problem_document

_log = logging.getLogger("flowray.serve")

_CODES_BY_STATUS = {404: "unknown_route", 405: "method_not_allowed"}


def document(error: FlowRayError, *, instance: str = "") -> dict[str, Any]:
    """The problem document of `error`. `detail` is a plain string, which is where Langflow's clients look."""
    facts: dict[str, Any] = {}
    if isinstance(error, RunFailedError):
        facts = {"run": error.run, **error.facts}
        instance = f"/api/v1/runs/{error.run}"
    return problem_document(error.status, error.code, error.message, fault=error.fault, instance=instance) | facts


def problem(error: FlowRayError, *, instance: str = "") -> Response:
    """`error` as a response."""
    headers = {"retry-after": "1"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    if isinstance(error, TooMuchError):
        headers |= error.headers
    if (wait_s := getattr(error, "retry_after_s", None)) is not None:
        headers["retry-after"] = str(wait_s)
    if error.code == "invalid_token":
        headers["www-authenticate"] = 'Bearer error="invalid_token"'
    if isinstance(error, RunFailedError):
        headers["x-flowray-run"] = error.run
    return _response(document(error, instance=instance), path=instance, headers=headers)


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    for kind in (FlowRayError, RequestValidationError, HTTPException, ClientDisconnect):
        app.add_exception_handler(kind, _on_error)
    app.add_middleware(_Incidents)


def incident(path: str) -> dict[str, Any]:
    """The problem document of the exception in flight, which nobody expected: logged under the id it names."""
    number = uuid.uuid4().hex
    _log.exception("Unexpected error", extra={"action": "incident", "incident": number, "path": path})
    detail = f"Something unexpected went wrong here; the operator finds it in the log as incident {number}."
    return problem_document(500, FlowRayError.code, detail, fault="service", instance=f"urn:uuid:{number}")


class _Incidents:
    """Turns what nobody expected into a 500 that names an incident, and logs the traceback under the same id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            path = scope.get("path", "")
            response = _response(incident(path), path=path)
            if started or scope["type"] != "http":
                raise
            await response(scope, receive, send)


def _response(body: Mapping[str, Any], *, path: str, headers: Mapping[str, str] | None = None) -> Response:
    told = {**body, **error_of(body)} if path.startswith(PREFIX) else body
    return Response(dumps(told), status_code=body["status"], media_type=MEDIA_TYPE, headers=headers)


async def _on_error(request: Request, error: Exception) -> Response:
    path = request.url.path
    match error:
        case FlowRayError():
            if error.fault == "service":
                _log.error("%s", error, extra={"action": "service_error", "code": error.code, "path": path})
            return problem(error, instance=path)
        case RequestValidationError():
            mistakes = [f"`{'.'.join(str(part) for part in one['loc'])}`: {one['msg']}" for one in error.errors()[:5]]
            return problem(InvalidRequestError("; ".join(mistakes) + "."), instance=path)
        case HTTPException():
            return _http_problem(request, error)
        case ClientDisconnect():
            # Nobody is left to read the answer; without this case the incident log would fill with closed browsers.
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        case _:
            return _response(incident(path), path=path)


def _http_problem(request: Request, error: HTTPException) -> Response:
    path = request.url.path
    code = _CODES_BY_STATUS.get(error.status_code)
    detail = f"{request.method} {path[:200]} is not part of this API; /docs lists what is." if code else error.detail
    body = problem_document(error.status_code, code or "invalid_request", detail, fault="caller", instance=path)
    headers = {"allow": _allowed(request)} if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    return _response(body, path=path, headers=headers)


def _allowed(request: Request) -> str:
    """The methods of all routes of this path; Starlette names those of the first."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    found = [route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for methods in found for method in methods}))
