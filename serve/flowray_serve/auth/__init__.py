"""Who calls and what they may do: decided before a route's own code runs, by what the route says that it needs."""

from flowray_serve.auth.authenticator import Authenticator, Callers
from flowray_serve.auth.guard import guarded
from flowray_serve.auth.needs import UndeclaredRouteError, needs, open_to_all

__all__ = ["Authenticator", "Callers", "UndeclaredRouteError", "guarded", "needs", "open_to_all"]
