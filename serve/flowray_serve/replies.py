"""Answers as JSON, straight to bytes: checking them against models again would cost more than a small run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from flowray.engine.codec import dumps


def reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as a JSON response."""
    return Response(dumps(body), status_code=status, media_type="application/json", headers=headers)
