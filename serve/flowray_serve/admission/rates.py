"""How often a caller may ask: stands between the guard, which knows who it is, and the route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowray.quotas.buckets import Buckets
from flowray.quotas.rate import Rate, Taken
from flowray.quotas.refusals import RateLimitedError
from flowray.tenancy.permissions import Permission
from flowray.tenancy.principal import Principal
from flowray_serve.auth.authenticator import caller_of
from flowray_serve.auth.needs import declared

RatesOf = Callable[[str], Awaitable[Mapping[str, Rate]]]
"""The rates of a tenant, by route class; `key_run` and so on are those of each of its keys."""


class RateLimiter:
    """Takes a token from the buckets that a request counts for."""

    def __init__(self, buckets: Buckets, rates_of: RatesOf) -> None:
        self._buckets = buckets
        self._rates_of = rates_of

    async def take(self, caller: Principal, kind: str) -> Mapping[str, str]:
        """The headers that say how things stand; `RateLimitedError` when it was asked too often."""
        rates = await self._rates_of(caller.tenant)
        if not rates:
            return {}
        asked = [(f"{caller.tenant}:{kind}", f"tenant-{kind}", rates.get(kind))]
        asked.append((f"{caller.tenant}:{kind}:{caller.key_id or caller.key}", f"key-{kind}", rates.get(f"key_{kind}")))
        limited = [(bucket, policy, rate) for bucket, policy, rate in asked if rate is not None]
        if not limited:
            return {}
        taken = await self._buckets.take([(bucket, rate) for bucket, _, rate in limited])
        headers = _headers([policy for _, policy, _ in limited], [rate for _, _, rate in limited], taken)
        for (_, policy, _), one in zip(limited, taken, strict=True):
            if not one.allowed:
                raise RateLimitedError(_said(caller.tenant, policy, one), one.again_s, headers)
        return headers


class Rated:
    """The application of one route, behind its rates."""

    def __init__(self, app: ASGIApp, limiter: RateLimiter, kind: str) -> None:
        self._app = app
        self._limiter = limiter
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a token, then pass on; the answer's headers say what is left."""
        headers = await self._limiter.take(caller_of(HTTPConnection(scope)), self._kind)
        if not headers:
            await self._app(scope, receive, send)
            return
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *raw]}
            await send(message)

        await self._app(scope, receive, with_headers)


def rated(route: BaseRoute, limiter: RateLimiter | None) -> BaseRoute:
    """The route, with its rates before it; what is open to all has none. To be guarded after this."""
    if limiter is None or not isinstance(route, Route | WebSocketRoute):
        return route
    permission = declared(route.endpoint, route.path)
    if permission is not None:
        route.app = Rated(route.app, limiter, kind_of(permission))
    return route


def kind_of(permission: Permission) -> str:
    """The route class of a route, by what it needs."""
    if permission is Permission.RUNS_START:
        return "run"
    return "read" if permission.value.endswith(".read") else "write"


def _headers(policies: Sequence[str], rates: Sequence[Rate], taken: Sequence[Taken]) -> Mapping[str, str]:
    return {
        "ratelimit-policy": ", ".join(f'"{name}";{rate.policy}' for name, rate in zip(policies, rates, strict=True)),
        "ratelimit": ", ".join(
            f'"{name}";r={one.left};t={max(1, round(one.again_s or one.full_s))}'
            for name, one in zip(policies, taken, strict=True)
        ),
    }


def _said(tenant: str, policy: str, taken: Taken) -> str:
    who = f"Tenant `{tenant}`" if policy.startswith("tenant") else "This key"
    return f"{who} asks too often (limit `{policy}`). Ask again in {max(taken.again_s, 0.001):.3g} s."
