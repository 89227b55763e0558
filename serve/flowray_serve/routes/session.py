"""Signing in, for clients that do: the password is an API key, and so is the token they get for it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import ForbiddenError, InvalidRequestError, UnauthorizedError
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.service import Message, Session, Token, User
from flowray_serve.auth import needs, open_to_all
from flowray_serve.auth.authenticator import TooManyGuessesError
from flowray_serve.bodies.form import sent_form
from flowray_serve.bodies.reading import limited
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes_form
from flowray_serve.services import Services

_FORM_LIMIT_BYTES = 64 * 1024
_NEVER = "1970-01-01T00:00:00Z"


class WrongPasswordError(UnauthorizedError):
    """The password is no API key of this tenant."""

    code = "wrong_password"
    status = 401


class AutoLoginOffError(InvalidRequestError):
    """Nobody is signed in without saying who they are."""

    code = "auto_login_off"
    status = 400


class SessionRoutes:
    """The handlers of `/api/v1/login` and its kin. There is no session here: a key is checked on every request."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1", tags=["session"])
        router.add_api_route(
            "/login",
            self.login,
            methods=["POST"],
            openapi_extra=takes_form("username", "password"),
            responses=says(Token),
        )
        router.add_api_route("/auto_login", self.auto_login, methods=["GET"])
        router.add_api_route("/refresh", self.refresh, methods=["POST"], responses=says(Token))
        router.add_api_route("/logout", self.logout, methods=["POST"], responses=says(Message))
        router.add_api_route("/session", self.session, methods=["GET"], responses=says(Session))
        router.add_api_route("/users/whoami", self.whoami, methods=["GET"], responses=says(User))
        return router

    @open_to_all
    async def login(self, request: Request) -> Response:
        """A token for a tenant's name and one of its API keys; the token is that key."""
        name, password = await _sent(request)
        try:
            caller = await self._services.authenticator.identify(_with_key(request, password))
        except TooManyGuessesError:
            raise  # whoever has to wait is told so, and for how long
        except (UnauthorizedError, ForbiddenError) as error:
            raise WrongPasswordError(_WRONG) from error
        if caller.tenant != name:
            raise WrongPasswordError(_WRONG)
        return reply(_tokens(password))

    @open_to_all
    async def auto_login(self) -> Response:
        """Refused: a service of many tenants signs nobody in unasked."""
        raise AutoLoginOffError("Auto login is disabled: sign in with a tenant's name and one of its API keys.")

    @needs(Permission.FLOWS_READ)
    async def refresh(self, request: Request) -> Response:
        """The token again: it stays good for as long as its key is."""
        await self._services.authenticator(request)
        return reply(_tokens(_said_key(request)))

    @open_to_all
    async def logout(self) -> Response:
        """Nothing to forget here; the client forgets its token."""
        return reply({"message": "Logout successful"})

    @open_to_all
    async def session(self, request: Request) -> Response:
        """Whether the request says who it comes from, and who that is."""
        try:
            caller = await self._services.authenticator.identify(request)
        except UnauthorizedError:
            return reply({"authenticated": False, "user": None, "store_api_key": None})
        return reply({"authenticated": True, "user": _user(caller.tenant), "store_api_key": None})

    @needs(Permission.FLOWS_READ)
    async def whoami(self, request: Request) -> Response:
        """The tenant, as the user that Langflow's clients look for."""
        caller = await self._services.authenticator(request)
        return reply(_user(caller.tenant))


_WRONG = "Incorrect username or password: give a tenant's name and one of its API keys."


async def _sent(request: Request) -> tuple[str, str]:
    async with sent_form(limited(request, limit_bytes=_FORM_LIMIT_BYTES), fields=10) as form:
        name, password = form.get("username"), form.get("password")
    if not isinstance(name, str) or not isinstance(password, str) or not name or not password:
        raise InvalidRequestError("`username` and `password` are needed, as a form.")
    return name, password


def _with_key(request: Request, key: str) -> Request:
    """The request as somebody with this key would send it."""
    headers = [
        (name, value) for name, value in request.scope["headers"] if name not in (b"x-api-key", b"authorization")
    ]
    sent = (b"x-api-key", key.encode("utf-8", "surrogateescape"))
    return Request({**request.scope, "headers": [*headers, sent], "query_string": b""})


def _said_key(request: Request) -> str:
    bearer = request.headers.get("authorization", "").partition(" ")[2]
    return request.headers.get("x-api-key") or request.query_params.get("x-api-key") or bearer.strip()


def _tokens(key: str) -> Token:
    return {"access_token": key, "refresh_token": key, "token_type": "bearer"}


def _user(tenant: str) -> User:
    return {
        "id": tenant_uuid(tenant, "user"),
        "username": tenant,
        "profile_image": None,
        "store_api_key": "",
        "is_active": True,
        "is_superuser": False,
        "create_at": _NEVER,
        "updated_at": _NEVER,
        "last_login_at": None,
        "optins": {"github_starred": False, "dialog_dismissed": True, "discord_clicked": False},
    }
