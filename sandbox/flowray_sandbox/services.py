"""lfx's surroundings inside the walls: its settings, the run's variables, the way to the egress gate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfx.graph.graph.base import Graph

GATE = "http://127.0.0.1:3128"
_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_NOT_OURS_TO_SET = ("LANGFLOW_", "LFX_", "LD_", "PYTHON")

# Set before lfx is imported: it reads them once.
LFX_ENVIRONMENT = {
    "LANGFLOW_LOG_LEVEL": "CRITICAL",  # what fails is reported by us, once
    "LANGFLOW_CONFIG_DIR": "/tmp/lfx",  # noqa: S108 - private to the sandbox
    # The gate decides where a connection may go. lfx's own check needs DNS, which does not exist inside the walls.
    "LANGFLOW_SSRF_PROTECTION_ENABLED": "false",
    "LANGFLOW_CONNECTOR_SSRF_VALIDATION_ENABLED": "false",
    # The walls decide which files can be read: here are only those of this run.
    "LANGFLOW_RESTRICT_LOCAL_FILE_ACCESS": "false",
    "LANGFLOW_DO_NOT_TRACK": "true",
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    # Threads that exist before the fork do not exist after it.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "TOKENIZERS_PARALLELISM": "false",
}


def use_variables(variables: Mapping[str, str], *, proxied: bool) -> None:
    """Let components read the run's variables the way they read an environment; lead HTTP clients to the gate."""
    from lfx.services.variable.request_scope import activate_request_variables

    activate_request_variables(dict(variables))
    for name, value in variables.items():
        if name and "=" not in name and "\0" not in name + value and not name.startswith(_NOT_OURS_TO_SET):
            os.environ[name] = value
    if proxied:
        os.environ.update(dict.fromkeys(_PROXY_NAMES, GATE))
        os.environ.update({"NO_PROXY": "", "no_proxy": ""})


def open_scopes(graph: Graph) -> None:
    """Say whose messages are being written, once: lfx opens these scopes around each component."""
    from lfx.memory import flow_context

    owner = flow_context.resolve_message_owner_id(graph)
    flow_context.set_current_flow_id(graph.flow_id)
    flow_context.set_current_message_owner_id(owner)
    flow_context.set_current_message_executor_id(owner)
    flow_context.set_messages_persist(owner is not None)
