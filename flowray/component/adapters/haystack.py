"""Haystack pipelines, as their own YAML has them: which modules they name, and what of them cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flowray.component.adapters.adapter import Problem
from flowray.component.adapters.pipeline_text import BadPipelineError, Outline, outline_of
from flowray.component.adapters.shape import Shape
from flowray.component.imports import Imports
from flowray.flow.shape import clipped
from flowray.flow.types import Node

_NAMING = ("text_to", "answer_from")


@dataclass(frozen=True)
class Haystack:
    """`Pipeline.loads` imports whatever classes the YAML names. It does so inside; here they are names."""

    shape: Shape

    def imports(self, node: Node) -> Imports:
        """Return the modules of the pipeline's classes; those within parameters are needed perhaps."""
        framework = frozenset({self.shape.framework})
        try:
            outline = outline_of(self.shape.definition_of(node))
        except BadPipelineError:
            return Imports(needed=framework)
        needed = framework | outline.modules
        return Imports(needed=needed, later=outline.inner_modules - needed)

    def problems(self, node: Node) -> Iterator[Problem]:
        """Yield what is wrong with the text, with its wires, and with the names that the node's fields give."""
        field = self.shape.definition
        try:
            outline = outline_of(self.shape.definition_of(node))
        except BadPipelineError as cause:
            yield Problem(field=field, message=str(cause))
            return
        for name in outline.components:
            if not outline.components[name]:
                yield Problem(field=field, message=f"its component `{clipped(name)}` has no `type` with a module.")
        for end in outline.ends:
            if end not in outline.components:
                yield _unknown(field, "its wires name the component", end, outline.components)
        yield from self._named(node, outline)

    def _named(self, node: Node, outline: Outline) -> Iterator[Problem]:
        for field in _NAMING:
            for entry in filter(None, map(str.strip, self.shape.text_of(node, field).split(","))):
                component, dot, socket = entry.partition(".")
                if not (dot and socket):
                    yield Problem(field=field, message=f"`{clipped(entry)}` in `{field}` is no `component.socket`.")
                elif component not in outline.components:
                    yield _unknown(field, f"`{field}` names", component, outline.components)


def _unknown(field: str, what: str, name: str, known: Mapping[str, str]) -> Problem:
    message = f"{what} `{clipped(name)}`, which is not in the pipeline."
    return Problem(field=field, message=message, missing=name, known=known)
