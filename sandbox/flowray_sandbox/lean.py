"""lfx's own steps around a component, without what no sandbox needs: hooks for a server, policies, copies of copies.

What a run costs inside is mostly the pages it touches first: each function that runs, each constant it reads, is a page
to copy. So the aim is fewer functions, not only faster ones. What a component sees and gives stays the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

import structlog
from lfx import memory
from lfx.custom.custom_component import base_component, custom_component
from lfx.custom.custom_component import component as component_module
from lfx.custom.custom_component.component import Component
from lfx.graph.schema import CHAT_COMPONENTS
from lfx.graph.vertex import base as vertex_module
from lfx.graph.vertex.base import Vertex
from lfx.graph.vertex.param_handler import ParameterHandler
from lfx.interface.initialize import loading
from lfx.services import deps
from lfx.services.manager import get_service_manager
from pydantic import BaseModel

from flowray_sandbox import building, chat_memory, timestamps

_ATOMS = frozenset({str, int, float, bool, type(None), bytes, FunctionType, type})
_set = object.__setattr__
_original_service = deps.get_service
_original_return_type = Component._get_method_return_type  # noqa: SLF001
_original_class_code = Component.set_class_code
_original_leads_to_chat: Callable[[Component], bool] = Component.is_connected_to_chat_output
_original_custom_repr: Callable[[Component], Any] = Component.custom_repr
_absent: set[Any] = set()
_class_code: dict[ModuleType, str | None] = {}
_return_types: dict[type, dict[str, list[str]]] = {}


def install() -> None:
    """Put the lean steps in place of lfx's."""
    # Hooks for Langflow's server and its services, which are not here.
    _replace(vertex_module, emit_build_start_event=_nothing)
    _replace(custom_component.CustomComponent, tracing_service=None)
    _replace(deps, get_service=_service)
    # Its database of messages is outside: `chat_memory` speaks to it.
    _replace(memory, _impl=lambda: chat_memory)
    _replace(component_module, astore_message=chat_memory.astore_message)
    # Policies of a shared server: the walls around this process are the policy.
    for check in ("require_model_provider_policy", "require_integration_policy", "_ensure_code_execution_policy"):
        _replace(Component, **{check: _nothing_at_once})
    _replace(
        Component, arequire_model_provider_policy=_nothing, _require_integration_providers_for_toolkit=_nothing_at_once
    )
    _replace(ParameterHandler, _canonical_file_fields=_no_fields)
    # Making a component: copies made sooner, and found once what is the same for all instances of a class.
    _replace(component_module, deepcopy=copied, _copy_component_template=_copied_all)
    _replace(Component, set_class_code=_set_class_code, _get_method_return_type=_return_type, custom_repr=_custom_repr)
    # What streams to a chat asks whether one listens: it may, in another sandbox.
    _replace(Component, is_connected_to_chat_output=_leads_to_chat)
    # Each component would have two caches for its code's syntax tree; without one, the tree is made when asked for.
    _replace(base_component, TTLCache=_nothing_at_once)
    _replace(custom_component, TTLCache=_nothing_at_once)
    # This one only warns when a user id is set twice, and is called for each attribute of each component.
    _replace(base_component.BaseComponent, __setattr__=object.__setattr__)
    # Building one.
    _replace(loading, instantiate_class=building.instance, get_instance_results=building.results)
    _replace(Vertex, _log_transaction_async=_nothing, _reset=building.reset)
    timestamps.install()
    structlog.configure(**{**structlog.get_config(), "cache_logger_on_first_use": True})


def _replace(owner: object, **replacements: Any) -> None:
    """What is replaced must be there: in another version of lfx, each of these has to be looked at anew."""
    for name, replacement in replacements.items():
        if not hasattr(owner, name):
            raise RuntimeError(f"This version of lfx has no {owner}.{name}.")
        setattr(owner, name, replacement)


def copied(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """What `copy.deepcopy` gives, sooner: for lfx's inputs and outputs, models of plain values."""
    if memo is None and isinstance(value, BaseModel) and type(value).__deepcopy__ is BaseModel.__deepcopy__:
        return _copied_model(value)
    return deepcopy(value, memo)


def _copied_model(model: BaseModel) -> BaseModel:
    made = object.__new__(type(model))
    fields = model.__dict__.copy()
    for name, value in fields.items():
        kind = type(value)
        if kind is list:
            fields[name] = _copied_list(value)
        elif kind not in _ATOMS and not isinstance(value, Enum):
            fields[name] = copied(value)
    extra, private = model.__pydantic_extra__, model.__pydantic_private__
    _set(made, "__dict__", fields)
    _set(made, "__pydantic_fields_set__", model.__pydantic_fields_set__.copy())
    _set(made, "__pydantic_extra__", extra if extra is None else deepcopy(extra))
    _set(made, "__pydantic_private__", private if private is None else deepcopy(private))
    return made


def _copied_list(items: list[Any]) -> list[Any]:
    for item in items:
        if type(item) not in _ATOMS:
            return deepcopy(items)
    return items.copy()


def _copied_all(items: list[Any]) -> list[Any]:
    made = []
    for item in items:
        made.append(copied(item))  # noqa: PERF401 - one function less
    return made


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
    known = _return_types.setdefault(type(self), {})
    if method_name not in known:
        known[method_name] = _original_return_type(self, method_name)
    return known[method_name].copy()


def _custom_repr(self: Component) -> Any:
    """How a result is described; of a chat node lfx makes the description anew and drops this one."""
    vertex = self._vertex
    if vertex is not None and vertex.vertex_type in CHAT_COMPONENTS and vertex.is_interface_component:
        return ""
    return _original_custom_repr(self)


def _leads_to_chat(self: Component) -> bool:
    told = getattr(self.graph, "is_heard_elsewhere", None)
    return _original_leads_to_chat(self) or (told is not None and told(self._id))


async def _nothing(*_: Any, **__: Any) -> None:
    """Stand in for a step that has nothing to do here."""


def _nothing_at_once(*_: Any, **__: Any) -> None:
    """Stand in for a check that has nothing to forbid here."""


def _no_fields(_: ParameterHandler) -> dict[str, Any]:
    return {}
