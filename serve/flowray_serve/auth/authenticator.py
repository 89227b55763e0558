"""Who calls: an API key names a tenant. It comes as `x-api-key`, in a header or the query, or as a bearer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from starlette.requests import HTTPConnection
from starlette.types import Scope

from flowray.errors import ForbiddenError, UnauthorizedError
from flowray.tenancy.keys import digest_of
from flowray.tenancy.principal import Principal
from flowray.tenancy.tenant import Tenant

_MISSING = "An API key must be passed as the header `x-api-key` or the query parameter of that name."
_UNKNOWN = "Invalid or missing API key."
_KEY_LIMIT_CHARS = 512
_SCHEME = "bearer "
_LET_IN = "flowray.caller"


class Callers(Protocol):
    """The keys that are known, by their SHA-256 only."""

    async def caller(self, key_digest: str) -> Principal | None:
        """Whom the key with this digest (hex) belongs to."""


class TenantFinder(Protocol):
    """The tenants there are."""

    async def find(self, tenant: str) -> Tenant | None:
        """The tenant with this id."""


class SuspendedError(ForbiddenError):
    """Nobody may do anything in the name of this tenant for now."""

    code = "tenant_suspended"


class Authenticator:
    """Finds out who calls, for the guard before each route; called by a route, it says whom the guard let in.

    `used` is told which tenant's key was used.
    """

    def __init__(
        self, callers: Callers, tenants: TenantFinder, *, used: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._callers = callers
        self._tenants = tenants
        self._used = used

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """The caller whom the guard has let in."""
        return caller_of(connection)

    async def identify(self, connection: HTTPConnection) -> Principal:
        """The caller; `UnauthorizedError` without a key that is known."""
        key = _key_in(connection)
        if not key:
            raise UnauthorizedError(_MISSING)
        if len(key) > _KEY_LIMIT_CHARS:
            raise UnauthorizedError(_UNKNOWN)
        caller = await self._callers.caller(digest_of(key))
        if caller is None:
            raise UnauthorizedError(_UNKNOWN)
        await self._require_active(caller)
        self._used(caller.tenant, caller.key_id)
        return caller

    async def _require_active(self, caller: Principal) -> None:
        if "operator" in caller.roles:
            return  # who could end a suspension if operators were shut out by it?
        tenant = await self._tenants.find(caller.tenant)
        if tenant is None:
            raise UnauthorizedError(_UNKNOWN)
        if not tenant.is_active:
            raise SuspendedError(f"The tenant `{tenant.id}` is suspended; ask the operator of this service.")


def let_in(scope: Scope, caller: Principal) -> None:
    """Note who was let in."""
    scope[_LET_IN] = caller


def caller_of(connection: HTTPConnection) -> Principal:
    """Who was let in."""
    found = connection.scope.get(_LET_IN)
    if found is None:
        raise UnauthorizedError(_MISSING)
    return cast("Principal", found)


def _key_in(connection: HTTPConnection) -> str | None:
    headers = connection.headers
    key = headers.get("x-api-key")
    if not key and connection.scope["query_string"]:
        key = connection.query_params.get("x-api-key")
    if key:
        return key
    bearer = headers.get("authorization", "")
    return bearer[len(_SCHEME) :].strip() if bearer[: len(_SCHEME)].lower() == _SCHEME else None
