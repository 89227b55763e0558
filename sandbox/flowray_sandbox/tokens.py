"""How many tokens each call of a model took: heard from LangChain itself, once per call, whoever makes it.

Other frameworks' adapters tell of theirs.

lfx adds up what its nodes report, each with all that came before it, and its traces count provider and component once
more each; adding those up counts a call several times. A callback that LangChain gives to every call hears each once.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook
from lfx.schema.token_usage import extract_usage_from_llm_result

from flowray_sandbox.report import Report, running_node

_NAME_LIMIT = 200


class Ear(BaseCallbackHandler):
    """Tells of each call as it ends. Deaf until a step gives it a report."""

    run_inline = True  # in the context of the call, which knows the node

    def __init__(self) -> None:
        self.report: Report | None = None
        self._models: dict[UUID, str] = {}

    def on_chat_model_start(self, *_: Any, run_id: UUID, **facts: Any) -> None:
        """A call begins: the model's name may be told here only."""
        self._begun(run_id, facts)

    def on_llm_start(self, *_: Any, run_id: UUID, **facts: Any) -> None:
        """The same, of a model without chat."""
        self._begun(run_id, facts)

    def on_llm_error(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """A call failed; what it took is not known."""
        self._models.pop(run_id, None)

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        """A call ended."""
        begun_as = self._models.pop(run_id, "")
        node = running_node.get()
        if self.report is None or not node:
            return
        used = extract_usage_from_llm_result(response)
        self.report.model_used(
            node,
            (_named(response) or begun_as)[:_NAME_LIMIT],
            input_tokens=_count(used and used.input_tokens),
            output_tokens=_count(used and used.output_tokens),
        )

    def _begun(self, run_id: UUID, facts: Any) -> None:
        metadata, asked = facts.get("metadata") or {}, facts.get("invocation_params") or {}
        name = metadata.get("ls_model_name") or asked.get("model") or asked.get("model_name") or ""
        self._models[run_id] = str(name)


EAR = Ear()


def heard(model: str, input_tokens: int, output_tokens: int) -> None:
    """Tell of a call that LangChain knows nothing of: one of another framework's, by the running node."""
    node = running_node.get()
    if EAR.report is not None and node:
        EAR.report.model_used(node, model[:_NAME_LIMIT], input_tokens=input_tokens, output_tokens=output_tokens)


# The default of the variable, so that whatever thread a component calls a model from, the ear is there.
_heard: ContextVar[Ear | None] = ContextVar("flowray_tokens", default=EAR)
register_configure_hook(_heard, inheritable=True)


def _named(response: Any) -> str:
    told = getattr(response, "llm_output", None)
    if isinstance(told, dict) and told.get("model_name"):
        return str(told["model_name"])
    for generations in getattr(response, "generations", None) or ():
        for generation in generations:
            metadata = getattr(getattr(generation, "message", None), "response_metadata", None) or {}
            if metadata.get("model_name") or metadata.get("model"):
                return str(metadata.get("model_name") or metadata.get("model"))
    return ""


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) and tokens > 0 else 0
