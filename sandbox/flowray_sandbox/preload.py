"""Everything that runs need and that can be done once: imported, compiled and run through in the zygote."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import sys
import warnings
from types import ModuleType
from typing import Any

from flowray_sandbox.environment import CERTIFICATES, LFX_ENVIRONMENT

_HOT: list[Any] = []
# What a child does before its run, which cannot be rehearsed: the zygote would be walled in.
_AT_BIRTH = tuple(
    f"flowray_sandbox.{name}" for name in ("allowance", "forker", "jail", "packages", "randomness", "readiness", "work")
)


def warm() -> None:
    """Make the calling process ready to be forked: afterwards a run imports and compiles next to nothing."""
    os.environ.update(LFX_ENVIRONMENT)
    warnings.simplefilter("ignore")
    from flowray_sandbox import (  # after the environment is set: lfx reads it
        chat_rehearsal,
        classes,
        flows,
        hot_code,
        lean,
        rehearsal,
        surroundings,
        tls_contexts,
        written_files,
    )
    from flowray_sandbox.adapters import shapes

    surroundings.settle()
    flows.install()
    written_files.install()
    for name in _THREADED:
        _defer(name)
    for name in _LAZY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for _, code in classes.shipped():
        with contextlib.suppress(Exception):
            classes.learn(code)
    classes.install()
    _look_packages_up()
    lean.install()
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


class _Deferred(ModuleType):
    """Stands in for a module until somebody reads from it.

    The standard library's lazy loader would not do: an import statement alone makes it load.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        del sys.modules[self.__name__]
        real = importlib.import_module(self.__name__)
        vars(self).update(vars(real))
        return getattr(real, name)


def _defer(name: str) -> None:
    found = importlib.util.find_spec(name)
    if found is not None and name not in sys.modules:
        stand_in = _Deferred(name)
        stand_in.__spec__, stand_in.__file__ = found, found.origin
        sys.modules[name] = stand_in


# Importing these starts threads, and a process with threads must not be forked: they are imported when first used.
# `magika` guesses file types for `markitdown`, with a model run by `onnxruntime`.
_THREADED = ("magika",)

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
