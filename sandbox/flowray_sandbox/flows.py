"""Flows inside the walls: what lfx's components look up of them, and how they run another one, over the channel.

A flow that a component runs is a run of its own: planned, sandboxed and recorded by the service. In here there is only
its drawing, and none of its code is ever loaded.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from lfx import helpers
from lfx.custom.custom_component import custom_component
from lfx.graph.graph.base import Graph
from lfx.graph.schema import ResultData, RunOutputs
from lfx.helpers import flow as lfx_flow
from lfx.processing import process
from lfx.schema.data import Data
from lfx.schema.message import Message

from flowray_sandbox import outside

_TWEAKS = "_flowray_tweaks"
_NO_FLOW = "Flow ID or Flow Name is required"
# `lfx.base.tools.run_flow` takes three names from a module of Langflow's server, which is not here.
_SERVER_MODULE = "langflow.helpers.flow"


class Drawing(Graph):
    """A graph to look at: its components are not made."""

    @classmethod
    def from_payload(cls, payload: Any, *facts: Any, **named: Any) -> Any:
        """See lfx's own, which would load the flow's code."""
        return Graph.from_payload(payload, *facts, **{**named, "instantiate_components": False})


async def list_flows(*, user_id: Any = None) -> list[Data]:  # noqa: ARG001 - the host knows whose run this is
    """The tenant's flows, without their canvases."""
    return [_data(flow) for flow in await outside.ask("flows.list")]


async def list_flows_by_flow_folder(**_: Any) -> list[Data]:
    """The flows of this flow's project."""
    return [_data(flow) for flow in await outside.ask("flows.list", beside=True)]


async def list_flows_by_folder_id(*, user_id: Any = None, folder_id: Any = None) -> list[Data]:  # noqa: ARG001
    """The flows of a project."""
    return [_data(flow) for flow in await outside.ask("flows.list", project=str(folder_id))]


async def get_flow_by_id_or_name(user_id: Any, flow_id: Any = None, flow_name: Any = None) -> Data | None:  # noqa: ARG001
    """A flow with its canvas."""
    if not (flow_id or flow_name):
        raise ValueError(_NO_FLOW)
    found = await outside.ask("flows.find", **_named(flow_id, flow_name))
    return None if found is None else _data(found)


async def load_flow(user_id: Any, flow_id: Any = None, flow_name: Any = None, tweaks: Any = None) -> Any:
    """A flow to look at."""
    found = await get_flow_by_id_or_name(user_id, flow_id, flow_name)
    if found is None:
        raise ValueError(f"Flow {flow_id or flow_name} not found")
    graph = Drawing.from_payload(found.data["data"], flow_id=found.data["id"], flow_name=found.data["name"])
    graph.description = found.data.get("description")
    setattr(graph, _TWEAKS, tweaks or {})
    return graph


async def run_flow(
    inputs: Any = None, tweaks: Mapping[str, Any] | None = None, *, graph: Any = None, **named: Any
) -> list[RunOutputs]:
    """Run another flow of this tenant, and wait for what it answers."""
    drawn = getattr(graph, _TWEAKS, None) or {}
    of = _named(named.get("flow_id") or getattr(graph, "flow_id", None), named.get("flow_name"))
    if not of:
        raise ValueError(_NO_FLOW)
    session_id = named.get("session_id")
    several = inputs if isinstance(inputs, list) else [inputs] if inputs else []
    answer = await outside.ask(
        "flows.run",
        **of,
        inputs=[_input(one) for one in several],
        tweaks=_plain({**drawn, **(tweaks or {})}),
        output_type=named.get("output_type") or "chat",
        session_id=str(session_id) if session_id else None,
    )
    results = [_result(result) for result in answer["results"]]
    return [RunOutputs(inputs=several[0] if several else {}, outputs=results)]


def install() -> None:
    """Put these in place of lfx's, which have no server to ask, and of Langflow's, which are not here."""
    ours = {
        "list_flows": list_flows,
        "list_flows_by_flow_folder": list_flows_by_flow_folder,
        "list_flows_by_folder_id": list_flows_by_folder_id,
        "get_flow_by_id_or_name": get_flow_by_id_or_name,
        "load_flow": load_flow,
        "run_flow": run_flow,
    }
    for module in (lfx_flow, helpers, custom_component):
        for name, function in ours.items():
            if not hasattr(module, name):
                raise RuntimeError(f"This version of lfx has no {module.__name__}.{name}.")
            setattr(module, name, function)
    sys.modules[_SERVER_MODULE] = _stand_in()
    process.process_tweaks_on_graph = _keep_tweaks  # they travel with the run
    base: Any = importlib.import_module("lfx.base.tools.run_flow")  # which imports the stand-in
    base.Graph = Drawing  # looked at only


def _stand_in() -> ModuleType:
    """Only names: what lfx's own module has, and the three that it lacks."""
    module = ModuleType(_SERVER_MODULE)
    vars(module).update({name: value for name, value in vars(lfx_flow).items() if not name.startswith("__")})
    vars(module).update(
        get_user_is_superuser=_is_no_superuser,
        scoped_model_provider_policy_for_target_flow=_without_policy,
    )
    return module


async def _is_no_superuser(*_: Any, **__: Any) -> bool:
    return False


@asynccontextmanager
async def _without_policy(**_: Any) -> AsyncIterator[None]:
    """Which providers a flow may use is decided where it runs."""
    yield


def _keep_tweaks(graph: Any, tweaks: Mapping[str, Any], **_: Any) -> Any:
    setattr(graph, _TWEAKS, tweaks)
    return graph


def _named(flow_id: Any, flow_name: Any) -> dict[str, Any]:
    return {"flow_id": str(flow_id)} if flow_id else {"flow_name": str(flow_name)} if flow_name else {}


def _input(given: Mapping[str, Any]) -> dict[str, Any]:
    value = given.get("input_value", "")
    return {
        "input_value": value.text if isinstance(value, Message) else None if value is None else str(value),
        "components": [str(name) for name in given.get("components") or ()],
        "type": str(given.get("type") or "chat"),
    }


def _plain(value: Any) -> Any:
    """Arguments of a tool as JSON: a message is its text, as in a field that a wire leads to."""
    if isinstance(value, Message):
        return value.text
    if isinstance(value, Data):
        return _plain(value.data)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)


def _result(result: Mapping[str, Any]) -> ResultData:
    results = {name: _revived(value) for name, value in (result.get("results") or {}).items()}
    return ResultData(
        results=results,
        artifacts=result.get("artifacts") or {},
        messages=result.get("messages"),
        component_id=result.get("component_id"),
        component_display_name=result.get("component_display_name"),
    )


def _revived(value: Any) -> Any:
    """What was a message or data is one again."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict) or "text_key" not in value:
        return value
    if "sender" in value or "session_id" in value:
        return Message(**{name: item for name, item in value.items() if item is not None})
    return Data(**value)


def _data(flow: Mapping[str, Any]) -> Data:
    return Data(data=dict(flow))
