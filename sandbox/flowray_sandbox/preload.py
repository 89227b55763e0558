"""Everything that runs need and that can be done once: imported, compiled and run through in the zygote."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from typing import Any

from flowray_sandbox import groundwork
from flowray_sandbox.environment import CERTIFICATES

_HOT: list[Any] = []
# What a child does before its run, which cannot be rehearsed: the zygote would be walled in.
_AT_BIRTH = tuple(
    f"flowray_sandbox.{name}"
    for name in ("allowance", "copies", "forker", "jail", "packages", "randomness", "readiness", "work")
)


def warm() -> None:
    """Make the calling process ready to be forked: afterwards a run imports and compiles next to nothing."""
    groundwork.settle()
    from flowray_sandbox import chat_rehearsal, classes, hot_code, rehearsal, tls_contexts  # they import lfx
    from flowray_sandbox.adapters import shapes

    for name in _LAZY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for _, code in classes.shipped():
        classes.learn_if_possible(code)
    _look_packages_up()
    shapes.prepare()
    tls_contexts.prepare(CERTIFICATES)
    chat_rehearsal.rehearse()
    rehearsal.rehearse()
    _HOT.append(hot_code.HotCode(lambda: rehearsal.rehearse(times=1), also=_AT_BIRTH))
    # A run is over before there is garbage worth looking for; a long one still gets collected.
    gc.set_threshold(50_000, 20, 20)


def _look_packages_up() -> None:
    """Which package gives which module: read from thousands of files, and asked when a component is published."""
    from lfx.custom import dependency_analyzer

    ask = getattr(dependency_analyzer, "_get_packages_distributions", None)
    if ask is not None:
        ask()


def gather() -> None:
    """Once nothing is imported any more: put what a run executes together."""
    for hot in _HOT:
        hot.gather()


def rehearse() -> None:
    """Let Python specialise what was put together."""
    from flowray_sandbox import rehearsal

    rehearsal.rehearse()
    # Names live on in Python's cache of look-ups after all else has dropped them. Of former runs' names, each that a
    # child drives out it would free as well, on pages that it has no other business with.
    sys._clear_type_cache()  # noqa: SLF001 - public for exactly this until 3.13, whose new name older ones lack
    rehearsal.rehearse(times=1)


def rehearse_usual() -> None:
    """Run once what most runs are like."""
    from flowray_sandbox import rehearsal

    rehearsal.rehearse_usual()


# What flows import while they run, beyond what lfx imports to load them: learned by running Langflow's starter flows
# and asking each sandbox what it had to import (`imported` in its result).
_LAZY = (
    "anyio._backends._asyncio",
    "jiter",
    "langchain_core.messages.block_translators.langchain_v0",
    "langchain_core.tracers.context",
    "langchain_core.tracers.run_collector",
    "langchain_core.tracers.stdout",
    "langchain_openai",
    "lfx.base.models.llm_callback_utils",
    "lfx.base.models.model_remediation",
    "lfx.base.tools.component_tool",
    "lfx.components.models_and_agents.structured_output",
    "lfx.components.models_and_agents.structured_output.structured_output_orchestrator",
    "lfx.memory.stubs",
    "lfx.observability_llm_metrics",
    "lfx.utils.version",
    "numpy.rec",
    "openai.resources",
    "pandas.core.methods.to_dict",
    "pandas.io.formats.string",
    "tabulate",
    "tiktoken_ext",
)
