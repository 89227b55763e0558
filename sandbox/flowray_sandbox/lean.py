"""lfx's own steps around a component, without what no sandbox needs: hooks for a server, policies that allow all, copies.

What a run costs inside is mostly the pages it touches first: each function that runs, each constant it reads, is a page
to copy. So the aim is fewer functions, not only faster ones. What a component sees and gives stays the same: each
replacement here is measured against lfx's original by a test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from enum import Enum
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from lfx.custom.custom_component import component as component_module
from lfx.custom.custom_component.component import Component
from lfx.custom.custom_component.custom_component import CustomComponent
from lfx.graph.vertex import base as vertex_module
from lfx.graph.vertex.base import Vertex
from lfx.graph.vertex.param_handler import ParameterHandler
from lfx.interface.initialize import loading
from lfx.services import deps
from lfx.services.manager import get_service_manager
from pydantic import BaseModel

_ATOMS = frozenset({str, int, float, bool, type(None), bytes, FunctionType, type})
_set = object.__setattr__
_original_service = deps.get_service
_original_return_type = Component._get_method_return_type  # noqa: SLF001
_original_class_code = Component.set_class_code
_absent: set[Any] = set()
_class_code: dict[ModuleType, str | None] = {}


def install() -> None:
    """Put the lean steps in place of lfx's."""
    # Hooks for Langflow's server, which is not here.
    vertex_module.emit_build_start_event = _nothing
    Vertex._log_transaction_async = _nothing  # type: ignore[method-assign]  # noqa: SLF001
    CustomComponent.tracing_service = None  # type: ignore[assignment,method-assign]
    deps.get_service = _service
    # Policies of a shared server. The walls around this process are the policy.
    Component.require_model_provider_policy = _allow  # type: ignore[method-assign]
    Component.arequire_model_provider_policy = _nothing  # type: ignore[method-assign]
    Component.require_integration_policy = _allow  # type: ignore[method-assign]
    Component._require_integration_providers_for_toolkit = _allow  # type: ignore[method-assign]  # noqa: SLF001
    Component._ensure_code_execution_policy = _allow  # type: ignore[method-assign]  # noqa: SLF001
    ParameterHandler._canonical_file_fields = _no_fields  # type: ignore[method-assign]  # noqa: SLF001
    loading.get_instance_results = _instance_results
    # Copies and look-ups that come out the same for each instance of a class.
    component_module.deepcopy = copied  # type: ignore[attr-defined]
    component_module._copy_component_template = _copied_all  # noqa: SLF001
    Component.set_class_code = _set_class_code  # type: ignore[method-assign]
    Component._get_method_return_type = _return_type  # type: ignore[method-assign]  # noqa: SLF001


def copied(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """What `copy.deepcopy` gives, sooner: for lfx's inputs and outputs, models of plain values."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if memo is None and isinstance(value, BaseModel) and kind.__deepcopy__ is BaseModel.__deepcopy__:
        return _copied_model(value)
    return deepcopy(value, memo)


def _copied_model(model: BaseModel) -> BaseModel:
    made = object.__new__(type(model))
    fields = model.__dict__.copy()
    for name, value in fields.items():
        if type(value) not in _ATOMS and not isinstance(value, Enum):
            fields[name] = _copied_value(value)
    _set(made, "__dict__", fields)
    _set(made, "__pydantic_fields_set__", model.__pydantic_fields_set__.copy())
    _set(made, "__pydantic_extra__", deepcopy(model.__pydantic_extra__))
    _set(made, "__pydantic_private__", deepcopy(model.__pydantic_private__))
    return made


def _copied_value(value: Any) -> Any:
    if type(value) is list and all(type(item) in _ATOMS for item in value):
        return value.copy()
    return copied(value)


def _copied_all(items: list[Any]) -> list[Any]:
    return [copied(item) for item in items]


async def _instance_results(
    custom_component: Any,
    custom_params: dict[str, Any],
    vertex: Vertex,
    *,
    fallback_to_env_vars: bool = False,
    base_type: str = "component",
) -> Any:
    """Resolve variables and run the component; the scopes that lfx opens here are open for the whole run."""
    if vertex.load_from_db_fields:
        custom_params = await loading.update_params_with_load_from_db_fields(
            custom_component, custom_params, vertex.load_from_db_fields, fallback_to_env_vars=fallback_to_env_vars
        )
    if base_type == "custom_components":
        return await loading.build_custom_component(params=custom_params, custom_component=custom_component)
    if base_type == "component":
        return await loading.build_component(params=custom_params, custom_component=custom_component)
    raise ValueError(f"Base type {base_type} not found.")


def _service(service_type: Any, default: Any = None) -> Any:
    """A service, or None; what was not there once is not looked for again."""
    found = get_service_manager().services.get(service_type)
    if found is not None or service_type in _absent:
        return found
    found = _original_service(service_type, default)
    if found is None:
        _absent.add(service_type)
    return found


def _set_class_code(self: Component) -> None:
    if self._code:
        return
    module = inspect.getmodule(type(self))
    if module is None or module not in _class_code:
        _original_class_code(self)
        if module is not None:
            _class_code[module] = self._code
        return
    self._code = _class_code[module]


def _return_type(self: Component, method_name: str) -> list[str]:
    return list(_known_return_type(type(self), method_name, lambda: _original_return_type(self, method_name)))


@cache
def _return_types(_: type) -> dict[str, list[str]]:
    return {}


def _known_return_type(kind: type, method: str, find: Callable[[], list[str]]) -> list[str]:
    known = _return_types(kind)
    if method not in known:
        known[method] = find()
    return known[method]


async def _nothing(*_: Any, **__: Any) -> None:
    """Stands in for a step that has nothing to do here."""


def _allow(*_: Any, **__: Any) -> None:
    """Stands in for a check that has nothing to forbid here."""


def _no_fields(_: ParameterHandler) -> dict[str, Any]:
    return {}
