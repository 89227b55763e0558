"""lfx's surroundings inside the walls: once for all children what never changes, then the variables of each run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lfx.custom.custom_component import custom_component
from lfx.graph.graph.base import Graph
from lfx.graph.vertex import param_handler
from lfx.memory import flow_context
from lfx.services.variable.request_scope import activate_request_variables
from lfx.utils import util
from lfx.utils.file_path_security import enforce_storage_key_scope

GATE = "http://127.0.0.1:3128"
_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_NOT_OURS_TO_SET = ("LANGFLOW_", "LFX_", "LD_", "PYTHON")
_lfx: Any = util
_fields: Any = param_handler
_components: Any = custom_component


def settle() -> None:
    """Settle what lfx would find out again and again, or wrongly."""
    # Inside, 127.0.0.1 is the way to the gate's allow-list, never a container's gateway.
    _lfx.get_container_host = lambda: None
    # Whose files may be read was decided outside: the sandbox holds those of this run and no others.
    _fields.enforce_storage_key_scope = lambda path, _: enforce_storage_key_scope(path, None)
    _components.validate_storage_key = lambda _, path: enforce_storage_key_scope(path, None)


def use_variables(variables: Mapping[str, str], *, proxied: bool, direct: Sequence[str] = ()) -> None:
    """Let components read the run's variables the way they read an environment; lead HTTP clients to the gate.

    `direct` hosts have listeners of the gate's behind their own names, where connections can be kept.
    """
    activate_request_variables(dict(variables))
    for name, value in variables.items():
        if name and "=" not in name and "\0" not in name + value and not name.startswith(_NOT_OURS_TO_SET):
            os.environ[name] = value
    if proxied:
        os.environ.update(dict.fromkeys(_PROXY_NAMES, GATE))
        os.environ.update(dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(direct)))


def open_scopes(graph: Graph) -> None:
    """Say whose messages are being written, once: lfx opens these scopes around each component."""
    owner = flow_context.resolve_message_owner_id(graph)
    flow_context.set_current_flow_id(graph.flow_id)
    flow_context.set_current_message_owner_id(owner)
    flow_context.set_current_message_executor_id(owner)
    flow_context.set_messages_persist(owner is not None)
