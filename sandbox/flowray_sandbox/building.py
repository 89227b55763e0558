"""How one node is built: lfx's own steps in their order, from parameters to result, without detours.

`instance` and `results` also take the place of lfx's functions of that kind, for the nodes that lfx builds itself: the
body of a loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lfx.graph.utils import UnbuiltObject, UnbuiltResult
from lfx.graph.vertex.base import Vertex
from lfx.graph.vertex.vertex_types import InterfaceVertex
from lfx.interface.initialize import loading
from lfx.schema.schema import build_output_logs

from flowray_sandbox.adapters.node import component_for
from flowray_sandbox.classes import component_class
from flowray_sandbox.failures import JobFailedError
from flowray_sandbox.report import Voice


async def build(vertex: Vertex, *, files: Sequence[str], voice: Voice | None) -> None:
    """Build the node; its predecessors are built."""
    reset(vertex)
    if files and isinstance(vertex, InterfaceVertex) and _takes_chat(vertex):
        vertex.update_raw_params({"files": list(files)}, overwrite=True)
    await vertex._build_each_vertex_in_params_dict()  # noqa: SLF001 - takes the values of its predecessors
    component, params = _component(vertex, voice)
    if vertex._upstream_secret_values:  # noqa: SLF001 - lfx masks them wherever results are shown
        component._secret_values.update(vertex._upstream_secret_values)  # noqa: SLF001
    result = await results(component, params, vertex, fallback_to_env_vars=True, base_type=str(vertex.base_type))
    vertex.outputs_logs = build_output_logs(vertex, result)
    vertex._update_built_object_and_artifacts(result)  # noqa: SLF001
    vertex._validate_built_object()  # noqa: SLF001
    vertex.built = True
    if isinstance(vertex, InterfaceVertex):
        await vertex._run()  # noqa: SLF001
    vertex.finalize_build()


def _component(vertex: Vertex, voice: Voice | None) -> tuple[Any, dict[str, Any]]:
    if vertex.custom_component is None:
        vertex.custom_component, params = instance(vertex, vertex.graph.user_id, voice)
        _set_caching(vertex)
        return vertex.custom_component, params
    params = _params(vertex)
    params.pop("code", None)
    return vertex.custom_component, params


def reset(vertex: Vertex) -> None:
    """Forget the last build; before the first there is none, and the parameters were just made."""
    built_before = vertex.built or vertex.steps_ran
    vertex.built = False
    vertex.built_object = UnbuiltObject()
    vertex.built_result = UnbuiltResult()
    vertex.artifacts = {}
    vertex.steps_ran = []
    if built_before:
        vertex.build_params()


def instance(vertex: Vertex, user_id: Any = None, event_manager: Any = None) -> tuple[Any, dict[str, Any]]:
    """Make the component of a node; the code is run as it is, no server has a say in it."""
    if not vertex.base_type:
        raise ValueError("No base type provided for vertex")
    params = _params(vertex)
    made: Any = component_for(vertex) or component_class(params.pop("code"), loading._component_class_name(vertex))  # noqa: SLF001 - lfx's own rule
    component = made(_user_id=user_id, _parameters=params, _vertex=vertex, _tracing_service=None, _id=vertex.id)
    if hasattr(component, "set_event_manager"):
        component.set_event_manager(event_manager)
    return component, params


async def results(
    custom_component: Any,
    custom_params: dict[str, Any],
    vertex: Vertex,
    *,
    fallback_to_env_vars: bool = False,
    base_type: str = "component",
) -> Any:
    """Resolve variables and run the component; the scopes that lfx opens here are open for the whole run."""
    absent: Mapping[str, str] = {}
    if vertex.load_from_db_fields:
        named = {field: custom_params.get(field) for field in vertex.load_from_db_fields}
        custom_params = await loading.update_params_with_load_from_db_fields(
            custom_component, custom_params, vertex.load_from_db_fields, fallback_to_env_vars=fallback_to_env_vars
        )
        absent = {field: str(name) for field, name in named.items() if name and custom_params.get(field) is None}
    if base_type != "component":
        return await loading.build_custom_component(params=custom_params, custom_component=custom_component)
    try:
        custom_component.set_attributes(custom_params)
    except Exception as cause:
        if absent:
            raise _without(absent, vertex.id, cause) from None
        raise
    return custom_component, *await custom_component.build_results()


def _without(absent: Mapping[str, str], node: str, cause: Exception) -> JobFailedError:
    """Fields got nothing for their variables: many take that, but one of these does not."""
    fields = ", ".join(f"field `{field}` names the variable `{name}`" for field, name in absent.items())
    remedy = "create it, or send it with the request (header `X-LANGFLOW-GLOBAL-VAR-<NAME>`)"
    error = f"The {fields}, which does not exist: {remedy}. Without it: {cause}"
    return JobFailedError(error, kind="variable", error_type=type(cause).__name__, node=node)


def _params(vertex: Vertex) -> dict[str, Any]:
    params: dict[str, Any] = loading.get_params(vertex.params)  # type: ignore[no-untyped-call]  # lfx
    return params


def _takes_chat(vertex: InterfaceVertex) -> bool:
    return bool(vertex._is_chat_input())  # type: ignore[no-untyped-call]  # noqa: SLF001 - lfx's own rule


def _set_caching(vertex: Vertex) -> None:
    """In cycles, and wherever nodes listen to each other, outputs are made anew each time."""
    graph = vertex.graph
    if vertex.id in graph.cycle_vertices or graph.is_state_vertices:
        vertex.apply_on_outputs(lambda output: setattr(output, "cache", False))
