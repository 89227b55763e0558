"""Who calls: an API key names a tenant, or a token's claims do.

A key comes as `x-api-key`, in a header or the query, or as a bearer; a token only as a bearer.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, cast

from starlette.requests import HTTPConnection
from starlette.types import Scope

from flowray.errors import ForbiddenError, UnauthorizedError
from flowray.quotas.guesses import Guesses, MemoryGuesses
from flowray.tenancy.claims import is_operator, principal_of, tenant_in
from flowray.tenancy.keys import digest_of
from flowray.tenancy.principal import Principal
from flowray.tenancy.tenant import Tenant
from flowray_serve.auth.issuers import Issuers
from flowray_serve.auth.source import source_of
from flowray_serve.auth.tokens import InvalidTokenError, Tokens

log = logging.getLogger(__name__)

_MISSING = "An API key must be passed as the header `x-api-key` or the query parameter of that name."
_UNKNOWN = "Invalid or missing API key."
_KEY_LIMIT_CHARS, _GOOD_LIMIT = 512, 10_000
_SCHEME = "bearer "
_LET_IN = "flowray.caller"


class TooManyGuessesError(UnauthorizedError):
    """Somebody there tries keys; they wait until the next one is looked at."""

    code = "too_many_guesses"
    status = 429

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message, retry_after_s)
        self.retry_after_s = retry_after_s


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
        self,
        callers: Callers,
        tenants: TenantFinder,
        *,
        issuers: Issuers | None = None,
        used: Callable[[str, str], None] = lambda *_: None,
        proxies: int = 0,
        guesses: Guesses | None = None,
    ) -> None:
        self._callers = callers
        self._tenants = tenants
        self._issuers = issuers
        self._used = used
        self._proxies = proxies
        self._guesses = guesses or MemoryGuesses()
        self._good: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """The caller whom the guard has let in."""
        return caller_of(connection)

    async def identify(self, connection: HTTPConnection) -> Principal:
        """The caller; `UnauthorizedError` without a key or a token that is good."""
        key, bearer = _said_by(connection)
        if not (key or bearer):
            raise UnauthorizedError(_MISSING)
        digest = digest_of(key or bearer)
        await self._require_patience(connection, digest)
        try:
            if bearer and self._issuers is not None and Tokens.is_one(bearer) and not key:
                caller = await self._bearer(self._issuers, bearer)
            else:
                caller = await self._key_holder(key or bearer, digest)
        except UnauthorizedError:
            await self._failed(connection, digest)
            raise
        self._remember(digest)
        return caller

    def source(self, connection: HTTPConnection) -> str:
        """Where the request comes from."""
        return source_of(connection, proxies=self._proxies)

    async def _require_patience(self, connection: HTTPConnection, digest: str) -> None:
        # Who has shown a good key before is not shut out by a neighbour at the same address who guesses.
        if digest in self._good:
            return
        wait_s = await self._guesses.wait_s(self.source(connection))
        if wait_s > 0:
            raise TooManyGuessesError("Too many wrong keys came from there; wait before the next.", math.ceil(wait_s))

    async def _failed(self, connection: HTTPConnection, digest: str) -> None:
        if digest in self._good:
            return  # a key that was good and is revoked is no guess
        source = self.source(connection)
        wait_s = await self._guesses.failed(source, digest)
        if wait_s > 0:
            log.warning("Keys are guessed", extra={"action": "keys_guessed", "source": source, "wait_s": wait_s})

    def _remember(self, digest: str) -> None:
        self._good[digest] = None
        if len(self._good) > _GOOD_LIMIT:
            self._good.popitem(last=False)

    async def _key_holder(self, key: str, digest: str) -> Principal:
        if len(key) > _KEY_LIMIT_CHARS:
            raise UnauthorizedError(_UNKNOWN)
        caller = await self._callers.caller(digest)
        if caller is None:
            raise UnauthorizedError(_UNKNOWN)
        if "operator" not in caller.roles:  # who could end a suspension if operators were shut out by it?
            _require_active(await self._tenants.find(caller.tenant))
        self._used(caller.tenant, caller.key_id)
        return caller

    async def _bearer(self, issuers: Issuers, token: str) -> Principal:
        issuer = issuers.of(token)
        claims, rules = await issuer.tokens.claims(token), issuer.rules
        tenant = await self._tenants.find(tenant_in(claims, rules) or "")
        if tenant is None:
            raise InvalidTokenError(f"The token's claim `{rules.tenant}` names no tenant that its issuer speaks for.")
        if not is_operator(claims, rules):
            _require_active(tenant)
        return principal_of(claims, tenant, rules)


def _require_active(tenant: Tenant | None) -> None:
    if tenant is None:
        raise UnauthorizedError(_UNKNOWN)
    if not tenant.is_active:
        raise SuspendedError(f"The tenant `{tenant.id}` is suspended; ask the operator of this service.")


def let_in(scope: Scope, caller: Principal) -> None:
    """Note who was let in."""
    scope[_LET_IN] = caller


def known_caller(scope: Scope) -> Principal | None:
    """Who was let in, if anybody was."""
    return cast("Principal | None", scope.get(_LET_IN))


def caller_of(connection: HTTPConnection) -> Principal:
    """Who was let in."""
    found = known_caller(connection.scope)
    if found is None:
        raise UnauthorizedError(_MISSING)
    return found


def _said_by(connection: HTTPConnection) -> tuple[str, str]:
    """The key and the bearer that a request brings."""
    headers = connection.headers
    key = headers.get("x-api-key")
    if not key and connection.scope["query_string"]:
        key = connection.query_params.get("x-api-key")
    bearer = headers.get("authorization", "")
    is_bearer = bearer[: len(_SCHEME)].lower() == _SCHEME
    return key or "", bearer[len(_SCHEME) :].strip() if is_bearer else ""
