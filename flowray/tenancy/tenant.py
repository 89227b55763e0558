"""Who owns flows, keys and runs. The id is in every key, path and log line."""

from __future__ import annotations

import re

from flowray.errors import InvalidRequestError

DEFAULT_TENANT = "default"

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def tenant_id(text: str) -> str:
    """`text` if it can be a tenant's id: it has to be one word in paths, Redis keys, metrics and host names."""
    if _ID.fullmatch(text) is None:
        raise InvalidRequestError(
            f"`{text[:80]}` cannot be a tenant: its id has small letters, digits and, within, `-`; at most 63."
        )
    return text
