"""`POST /api/v1/run/advanced/{flow}`: a run for each of several inputs, with the outputs that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.errors import InvalidRequestError
from flowray.flow.types import Flow, NodeId
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.run import AdvancedAnswer
from flowray_serve.auth import needs
from flowray_serve.bodies.editing import AdvancedRunBody, RunInput
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes
from flowray_serve.routes.run import RUN_HEADER
from flowray_serve.routes.variables import header_trace, header_variables
from flowray_serve.run_service import RunOrder, anybody
from flowray_serve.services import Services

_NO_INPUT = RunInput(input_value="")


class AdvancedRunRoutes:
    """The handler of `/api/v1/run/advanced`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/run", tags=["run"])
        described = takes(AdvancedRunBody)
        router.add_api_route(
            "/advanced/{flow}", self.run, methods=["POST"], openapi_extra=described, responses=says(AdvancedAnswer)
        )
        return router

    @needs(Permission.RUNS_START)
    async def run(self, request: Request, flow: str) -> Response:
        """Run a flow once for each input, one after another. The header `x-flowray-run` names the last run."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        body = fit(AdvancedRunBody, parse_object(content))
        loaded = await self._services.library.load(caller.tenant, flow, whom=body.session_id or anybody())
        answers, prepared = [], None
        for given in body.inputs or (_NO_INPUT,):
            order = _order(body, given, loaded.flow, header_variables(request))
            order = replace(order, trace=header_trace(request))
            prepared = await self._services.runs.prepare_loaded(caller.tenant, loaded, order)
            outcome = await self._services.runs.execute(prepared)
            outcome.require_success(prepared)
            answers.append(_answer(prepared, outcome, given, body.outputs or ()))
        session = prepared.session if prepared else loaded.id
        headers = {RUN_HEADER: prepared.run} if prepared else {}
        return reply({"session_id": session, "outputs": answers}, headers=headers)


def _order(body: AdvancedRunBody, given: RunInput, flow: Flow, variables: dict[str, str]) -> RunOrder:
    """The input goes to the components that it names, as a tweak of each; to all inputs of its type without any."""
    aimed = [node.id for node in flow.nodes if given.components and {node.id, node.display_name} & {*given.components}]
    tweaks = dict(body.tweaks or {})
    for node in aimed:
        tweaks[node] = {**_values_for(node, tweaks), "input_value": given.input_value or ""}
    return RunOrder(
        input_value=None if given.components else given.input_value,
        input_type=given.type or "any",
        output_type="any",
        tweaks=tweaks,
        session=body.session_id or given.session,
        variables=variables,
    )


def _values_for(node: NodeId, tweaks: Mapping[str, Any]) -> Mapping[str, Any]:
    values = tweaks.get(node)
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidRequestError(f"`tweaks`: what is said of node `{node}` must be an object, values by field name.")
    return values


def _answer(prepared: RunRequest, outcome: Outcome, given: RunInput, wanted: Sequence[str]) -> Mapping[str, Any]:
    nodes = _answering(prepared.flow, wanted)
    return {
        "inputs": {} if given.input_value is None else {"input_value": given.input_value},
        "outputs": [outcome.results[node] for node in nodes if node in outcome.results],
    }


def _answering(flow: Flow, wanted: Sequence[str]) -> Sequence[NodeId]:
    if not wanted:
        return [node.id for node in flow.nodes if node.is_output]
    return [node.id for node in flow.nodes if node.id in wanted or node.display_name in wanted]
