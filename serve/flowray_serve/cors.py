"""Pages of other origins: browsers let them read what is answered here only when the answer says that they may.

An answer never allows credentials: nobody is known here by a cookie, so that a page has nothing but the key it brings.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Of what an answer's head says, a page sees little else: its type, its length, its age.
EXPOSED: Final = (
    "x-flowray-run",
    "x-request-id",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "www-authenticate",
    "allow",
    "content-disposition",
)


def answer_pages(app: FastAPI, origins: Collection[str]) -> None:
    """Have `app` answer pages of these origins, `*` for all. To be called last: it answers before all else.

    Errors, too, are said to pages only from outside of whatever answers them; and a browser that asks first whether it
    may ask brings no key, and is no request of any tenant.
    """
    if not origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=frozenset(origins),
        allow_methods=_METHODS,
        # Clients send headers of their own, and a run's variables are in the names of theirs.
        allow_headers=("*",),
        expose_headers=EXPOSED,
        # A page that was named may also call from the public network into a private one; not whatever page there is.
        allow_private_network="*" not in origins,
    )
