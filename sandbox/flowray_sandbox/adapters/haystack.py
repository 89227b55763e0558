"""Haystack: a pipeline from its own YAML, run once, its components told by name when they fail.

Loading a pipeline imports and instantiates the classes that the YAML names. The walls hold what that may do; Haystack's
own list of allowed modules is kept, with those that the pipeline's components come from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import yaml
from haystack import Pipeline, tracing
from haystack.components import builders, joiners, routers  # noqa: F401 - what most pipelines have, imported in advance
from haystack.components.generators import chat
from haystack.components.retrievers import in_memory  # noqa: F401 - as above
from haystack.core.errors import PipelineRuntimeError
from haystack.marshal.yaml import YamlLoader

from flowray_sandbox.adapters import haystack_values as values
from flowray_sandbox.adapters.adapter import Given, Outcome, Told
from flowray_sandbox.adapters.given import plain

_told: ContextVar[Told | None] = ContextVar("haystack_told", default=None)
_STREAM_USAGE = {"stream_options": {"include_usage": True}}


class PipelineFailedError(RuntimeError):
    """A component of the pipeline failed; the message names it."""


class Haystack:
    """Runs pipelines."""

    async def run(self, given: Given, told: Told) -> Outcome:
        """Load the pipeline, give it what came, and read the answer out of what its components put out."""
        mark = _told.set(told)
        try:
            pipeline = _loaded(given.definition)
            data = values.inputs_of(pipeline, given)
            outputs = await _run(pipeline, data, given, told)
        except PipelineRuntimeError as cause:
            raise _named(cause) from (cause.__cause__ or cause)
        finally:
            _told.reset(mark)
        return Outcome(
            text=values.answer_of(outputs, str(given.settings.get("answer_from") or "")),
            documents=values.documents_of(outputs),
            outputs=plain(outputs),
        )


def _loaded(text: str) -> Pipeline:
    document = yaml.load(text, Loader=YamlLoader)  # noqa: S506 - Haystack's own, a safe one
    kinds = [str(part.get("type") or "") for part in document["components"].values()]
    packages = sorted({kind.partition(".")[0] for kind in kinds})
    pipeline: Pipeline = Pipeline.from_dict(document, allowed_modules=[*packages, *(f"{name}.*" for name in packages)])
    return pipeline


async def _run(pipeline: Pipeline, data: dict[str, Any], given: Given, told: Told) -> Mapping[str, Any]:
    answer_from = str(given.settings.get("answer_from") or "")
    told_of = values.worth_telling(pipeline, answer_from)
    if told.piece is None:
        return dict(await pipeline.run_async(data, include_outputs_from=told_of))
    speaking = values.speaking(pipeline, answer_from)
    for name in speaking:
        generator = pipeline.get_component(name)
        if isinstance(generator, chat.OpenAIChatGenerator) and "stream_options" not in generator.generation_kwargs:
            # Otherwise nobody would know what a streamed answer has used.
            asked = data.setdefault(name, {})
            asked["generation_kwargs"] = {**_STREAM_USAGE, **(asked.get("generation_kwargs") or {})}
    handle = pipeline.stream(data, streaming_components=speaking, include_outputs_from=told_of)
    async for chunk in handle:
        told.piece(chunk.content or "")
    return dict(handle.result)


def _named(cause: PipelineRuntimeError) -> PipelineFailedError:
    inner = cause.__cause__
    if inner is None or not cause.component_name:
        return PipelineFailedError(str(cause))
    kind = getattr(cause.component_type, "__name__", "")
    said = str(inner) or type(inner).__name__
    return PipelineFailedError(f"Component `{cause.component_name}` ({kind}) of the pipeline failed: {said}")


class _Span(tracing.Span):
    """One component while it runs: what it puts out says which model it called."""

    def __init__(self) -> None:
        self.output: Any = None

    def set_tag(self, key: str, value: Any) -> None:
        """Only the output matters here."""

    def set_content_tag(self, key: str, value: Any) -> None:
        """Keep what the component puts out."""
        if key == "haystack.component.output":
            self.output = value


class _Tracer(tracing.Tracer):
    """Tells of each component: how long it took, and what its models used."""

    @contextmanager
    def trace(
        self, operation_name: str, tags: dict[str, Any] | None = None, parent_span: tracing.Span | None = None
    ) -> Iterator[tracing.Span]:
        """Listen to one operation."""
        del parent_span
        span, begun, told = _Span(), time.perf_counter(), _told.get()
        yield span
        if told is None or operation_name != "haystack.component.run":
            return
        name = str((tags or {}).get("haystack.component.name"))
        told.note(name, f"ran in {(time.perf_counter() - begun) * 1000:.0f} ms")
        for model, spent, made in values.used_by(span.output):
            told.used(model, spent, made)

    def current_span(self) -> tracing.Span | None:
        """None: nothing here asks for it."""
        return None


tracing.enable_tracing(_Tracer())
ADAPTER = Haystack()
