"""The shape of a problem document (RFC 9457): for gateways, and for what answers where none does."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


def problem_document(status: int, code: str, detail: str, *, fault: str, instance: str = "") -> dict[str, Any]:
    """Return the document; `code` is stable, `detail` is for people."""
    return {
        "type": f"urn:flowray:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "fault": fault,
        "instance": instance,
    }
