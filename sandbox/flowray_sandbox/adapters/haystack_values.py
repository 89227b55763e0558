"""What goes into a Haystack pipeline and what comes out: by the sockets that its components have open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from haystack import Document as HaystackDocument
from haystack import Pipeline
from haystack.dataclasses import ChatMessage

from flowray_sandbox.adapters.adapter import Document, Given

_ASKING = ("query", "question", "text", "messages")
_DOCUMENTS = "documents"
Sockets = Mapping[str, Mapping[str, Mapping[str, Any]]]


def inputs_of(pipeline: Pipeline, given: Given) -> dict[str, dict[str, Any]]:
    """The data to run the pipeline with, by component: inputs by name first, then documents and the text."""
    sockets: Sockets = pipeline.inputs()
    data: dict[str, dict[str, Any]] = {}
    for name, value in given.inputs.items():
        for component, socket, one in _aimed(sockets, name, value):
            data.setdefault(component, {})[socket] = one
    if given.documents:
        documents = [HaystackDocument(content=one.text, meta=dict(one.facts)) for one in given.documents]
        for component in _having(sockets, _DOCUMENTS):
            data.setdefault(component, {}).setdefault(_DOCUMENTS, documents)
    if given.text is not None:
        named = [entry.strip() for entry in str(given.settings.get("text_to") or "").split(",") if entry.strip()]
        for component, socket in _ends(sockets, named) if named else _asking(sockets):
            kind = sockets[component][socket]["type"]
            data.setdefault(component, {}).setdefault(socket, _as_asked(given.text, kind))
    return data


def _aimed(sockets: Sockets, name: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    """An input's way: to a component with all its inputs, to `component.input`, or to all of that name."""
    component, dot, socket = name.partition(".")
    if dot:
        yield component, socket, value
    elif name in sockets and isinstance(value, dict):
        yield from ((name, inner, one) for inner, one in value.items())
    else:
        found = list(_having(sockets, name))
        if not found:
            raise ValueError(f"The pipeline has no open input `{name}`. Open are: {_listed(sockets)}.")
        yield from ((one, name, value) for one in found)


def _having(sockets: Sockets, socket: str) -> Iterable[str]:
    return (component for component, open_ones in sockets.items() if socket in open_ones)


def _ends(sockets: Sockets, named: Sequence[str]) -> Iterator[tuple[str, str]]:
    for entry in named:
        component, _, socket = entry.partition(".")
        if socket not in sockets.get(component, {}):
            raise ValueError(f"`text_to` names `{entry}`, which is no open input. Open are: {_listed(sockets)}.")
        yield component, socket


def _asking(sockets: Sockets) -> list[tuple[str, str]]:
    """The open inputs that ask for a text: by a name that says so, or since nothing runs without one."""
    found = [
        (component, socket)
        for component, open_ones in sockets.items()
        for socket, facts in open_ones.items()
        if (socket in _ASKING and _takes_text(facts["type"])) or (facts["is_mandatory"] and _takes_text(facts["type"]))
    ]
    if not found:
        raise ValueError(f"No open input of the pipeline asks for a text; name one in `text_to`: {_listed(sockets)}.")
    return found


def _takes_text(kind: Any) -> bool:
    return kind is Any or kind is str or str in get_args(kind) or _takes_messages(kind)


def _takes_messages(kind: Any) -> bool:
    return ChatMessage in get_args(kind) or any(ChatMessage in get_args(one) for one in get_args(kind))


def _as_asked(text: str, kind: Any) -> Any:
    only_messages = _takes_messages(kind) and str not in get_args(kind)
    return [ChatMessage.from_user(text)] if only_messages else text


def _listed(sockets: Sockets) -> str:
    names = [f"`{component}.{socket}`" for component, open_ones in sockets.items() for socket in open_ones]
    return ", ".join(names[:20]) or "none"


def worth_telling(pipeline: Pipeline, answer_from: str) -> set[str]:
    """The components whose outputs are kept though others read them: finders of documents, generators, the answer's."""
    every: Sockets = pipeline.outputs(include_components_with_connected_outputs=True)
    named = answer_from.partition(".")[0]
    telling = {name for name, sockets in every.items() if not sockets.keys().isdisjoint((_DOCUMENTS, "replies"))}
    return telling | ({named} & every.keys())


def speaking(pipeline: Pipeline, answer_from: str) -> list[str]:
    """The components whose words are the answer's: the one that is named, or all that nothing follows."""
    last = [answer_from.partition(".")[0]] if answer_from else list(pipeline.outputs())
    takes = pipeline.inputs(include_components_with_connected_inputs=True)
    return [
        name
        for name in last
        if "streaming_callback" in takes.get(name, {})
        and getattr(pipeline.get_component(name), "__haystack_supports_async__", False)
    ]


def answer_of(outputs: Mapping[str, Any], answer_from: str) -> str:
    """The text of the named output; without a name the first reply, or else the first text, or the documents'."""
    if answer_from:
        component, _, socket = answer_from.partition(".")
        sockets = outputs.get(component) or {}
        if socket not in sockets:
            had = ", ".join(f"`{name}.{one}`" for name, told in outputs.items() for one in told)
            raise ValueError(
                f"`answer_from` names `{answer_from}`, which did not come out. These did: {had or 'none'}."
            )
        return _text_of(sockets[socket]) or ""
    every = [(socket, value) for told in reversed(list(outputs.values())) for socket, value in told.items()]
    preferred = sorted(every, key=lambda pair: pair[0] not in ("replies", "answers", "last_message"))
    return next((text for _, value in preferred if (text := _text_of(value))), "")


def _text_of(value: Any) -> str | None:
    match value:
        case str():
            return value
        case ChatMessage(text=str(text)) | HaystackDocument(content=str(text)):
            return text
        case [HaystackDocument(), *_]:
            return "\n\n".join(one.content or "" for one in value)
        case [first, *_]:
            return _text_of(first)
        case _:
            answer = getattr(value, "data", None)
            return answer if isinstance(answer, str) else None


def documents_of(outputs: Mapping[str, Any]) -> list[Document]:
    """The documents that were found last."""
    for told in reversed(list(outputs.values())):
        found = told.get(_DOCUMENTS)
        if isinstance(found, list) and found and isinstance(found[0], HaystackDocument):
            return [_document(one) for one in found]
    return []


def _document(one: HaystackDocument) -> Document:
    facts = {**one.meta, "id": one.id} | ({} if one.score is None else {"score": float(one.score)})
    return Document(text=one.content or "", facts=facts)


def used_by(output: Any) -> Iterator[tuple[str, int, int]]:
    """The model's calls that a component's output tells of."""
    for reply in output.get("replies") or () if isinstance(output, Mapping) else ():
        told = getattr(reply, "meta", None) or {}
        if not told.get("model"):
            continue
        usage = told.get("usage") or {}
        spent, made = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
        yield str(told["model"]), spent if isinstance(spent, int) else 0, made if isinstance(made, int) else 0
