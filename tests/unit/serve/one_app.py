"""One application for all tests: making one takes a hundred routes and 50 ms, and a test speaks about one or two.

Each call goes to the services that its own client was made for. Parts that a service may do without change what the
application is made of, so that there is one for each choice of them.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import fields
from functools import cache
from typing import Any, cast

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from flowray_serve.routes.application import build_app
from flowray_serve.services import Services
from tests.unit.serve.described import held_against_description

_OPTIONAL = tuple(field.name for field in fields(Services) if field.default is None)
_asked: ContextVar[Services] = ContextVar("the services of this call")


def app_of(services: Services) -> ASGIApp:
    """The application over these services, without its lifespan."""
    app = _one_app(frozenset(name for name in _OPTIONAL if getattr(services, name) is not None))

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        before = _asked.set(services)
        try:
            await app(scope, receive, held_against_description(app, scope, send))
        finally:
            _asked.reset(before)

    return asked


@cache
def _one_app(optional: frozenset[str]) -> FastAPI:
    return build_app(cast("Services", _Asked(optional)))


class _Asked:
    """The services of whatever call is being answered."""

    version = "0.1.0"

    def __init__(self, optional: frozenset[str]) -> None:
        self._optional = optional

    def __getattr__(self, name: str) -> Any:
        services = _asked.get(None)
        if services is None and name in _OPTIONAL and name not in self._optional:
            return None
        return _Part(name) if services is None else getattr(services, name)


class _Part:
    """A part that somebody took before there was a call: the part of the call's services, once there is one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(_asked.get(), self._name), name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return getattr(_asked.get(), self._name)(*given, **named)
