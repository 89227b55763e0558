"""Requests made from FlowRay's own description: whatever it allows is answered as it says, and nothing breaks."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flowray_serve.routes.application import build_app
from tests.unit.serve.service import KEY, service

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Stores and Runners that are away answer 503, which is no mistake of ours; in memory none is away.
# The Model Context Protocol's own library answers for its route before this service does.
schema = schemathesis.openapi.from_asgi("/openapi.json", build_app(service().services)).exclude(path_regex="/mcp/")


@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
def test_what_the_description_allows_is_answered_as_it_says(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(headers={"x-api-key": KEY}, checks=CHECKS)
