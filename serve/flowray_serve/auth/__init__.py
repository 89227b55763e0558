"""Who calls and what they may do: decided before a route's own code runs, by what the route says that it needs."""

from flowray_serve.auth.auditing import Auditor, on_record
from flowray_serve.auth.authenticator import Authenticator, Callers, known_caller
from flowray_serve.auth.guard import Gate, guarded
from flowray_serve.auth.needs import UndeclaredRouteError, needs, open_to_all
from flowray_serve.auth.open_requests import OpenRequests

__all__ = [
    "Auditor",
    "Authenticator",
    "Callers",
    "Gate",
    "OpenRequests",
    "UndeclaredRouteError",
    "guarded",
    "known_caller",
    "needs",
    "on_record",
    "open_to_all",
]
