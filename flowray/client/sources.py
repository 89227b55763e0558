"""What a client may be given as a flow: a file's path, a Langflow export, a Flow; and the document to publish of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowray.errors import FlowFormatError, FlowTooLargeError, InvalidRequestError
from flowray.flow.document import Bounds, parse
from flowray.flow.hosts import KEY
from flowray.flow.langflow import canvas_of
from flowray.flow.types import Flow

FlowSource = Flow | Mapping[str, Any] | str | os.PathLike[str]


def document_of(source: FlowSource) -> Mapping[str, Any]:
    """The document to publish; `FlowFormatError` when there is no flow in it, whatever else it is."""
    match source:
        case Flow():
            return _whole(source.raw, name=source.name)
        case Mapping():
            return _whole(source)
    path = Path(source)
    with errors_of(path):
        return _whole(parse(path.read_bytes(), Bounds()), name=path.name.partition(".")[0])


def read_document(path: Path) -> Mapping[str, Any]:
    """The document in a file: a flow, or its bare nodes and edges."""
    with errors_of(path):
        document = parse(path.read_bytes(), Bounds())
        canvas_of(document)
        return document


def read_description(path: Path) -> str:
    """The text in a file: a flow in lfx's compact form."""
    with errors_of(path):
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError as cause:
            raise FlowFormatError(f"This is no text in UTF-8: {cause.reason} at byte {cause.start}.") from cause


@contextmanager
def errors_of(source: Path | str) -> Iterator[None]:
    """Errors of what a file says name the file, or where else it was read."""
    try:
        yield
    except OSError as cause:
        raise InvalidRequestError(f"Cannot read {source}: {cause.strerror}.") from cause
    except (FlowFormatError, FlowTooLargeError) as cause:
        raise type(cause)(f"{source}: {cause.message}") from cause


def _whole(document: Mapping[str, Any], *, name: str = "") -> Mapping[str, Any]:
    """With a name, and its nodes in `data`: an export may be no more than nodes and edges."""
    whole = dict(document)
    canvas_of(whole)
    if "data" not in whole:
        whole["data"] = {part: whole.pop(part) for part in ("nodes", "edges", "viewport", KEY) if part in whole}
    whole["name"] = document.get("name") or name
    if not whole["name"]:
        raise FlowFormatError("This flow has no `name`. Give it one, beside its `data`.")
    return whole
