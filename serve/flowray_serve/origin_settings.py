"""The settings of whose pages may call from a browser: their origins, exactly as browsers send them, or all."""

from __future__ import annotations

import json
import re
from ipaddress import IPv6Address
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

ANY_ORIGIN: Final = "*"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\]")
_UNSAID_PORTS: Final = {"http": 80, "https": 443}


def _listed(given: Any) -> Any:
    """A list as JSON, like any other; or apart by commas, as Langflow takes it."""
    if not isinstance(given, str):
        return given
    if not given.lstrip().startswith("["):
        return [one.strip() for one in given.split(",") if one.strip()]
    try:
        return json.loads(given)
    except ValueError as cause:
        raise ValueError('it is no list: write `["https://chat.example.org"]`, or `*`') from cause


def _exact(given: str) -> str:
    # Browsers compare text: an origin that is written otherwise would let nobody in, and say nothing.
    shown, origin = given[:80], _as_sent(given)
    if given in (ANY_ORIGIN, origin):
        return given
    if given == "null":
        raise ValueError("`null` is what any local file or sandboxed frame sends: serve the page, and name its origin")
    if origin is not None:
        raise ValueError(f"no browser sends `{shown}` as an origin: write `{origin}`")
    if "://" not in given and (guess := _as_sent(f"https://{given}")) is not None:
        raise ValueError(f"`{shown}` has no scheme: write `{guess}`, or the same with `http`")
    raise ValueError(f"`{shown}` is no origin: write `https://HOST` or `https://HOST:PORT`, each host by its full name")


def _as_sent(url: str) -> str | None:
    """The origin of a URL, as browsers send it; None when it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            host = f"[{IPv6Address(host)}]"
    except ValueError:
        return None
    if not parts.scheme or not _HOST.fullmatch(host):
        return None
    return f"{parts.scheme}://{host}" + ("" if port in (None, _UNSAID_PORTS.get(parts.scheme)) else f":{port}")


def _all_or_some(origins: tuple[str, ...]) -> tuple[str, ...]:
    if ANY_ORIGIN in origins and len(origins) > 1:
        raise ValueError("`*` stands for all origins: write it alone, or leave it out and name them")
    return origins


Origin = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_exact)]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_all_or_some)]
