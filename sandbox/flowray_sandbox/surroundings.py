"""lfx's own surroundings, put in order once: what a sandbox has no use for is not looked for in each run."""

from __future__ import annotations

from typing import Any

from lfx.custom.custom_component import custom_component
from lfx.graph.vertex import param_handler
from lfx.utils import util
from lfx.utils.file_path_security import enforce_storage_key_scope

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
