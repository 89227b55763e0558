"""The flows of the load: their documents, and what is to be true of each of their runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flowray
from tests.kit.door import Door

_SPECS = {
    "echo": "name: Echo\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n",
    "through": (
        "name: Through\n\nnodes:\n  A: ChatInput\n  B: CustomComponent\n  C: ChatOutput\n\n"
        "edges:\n  A.message -> B.input_value\n  B.output -> C.input_value\n"
    ),
    "hook": "name: Hook\n\nnodes:\n  A: Webhook\n  B: ChatOutput\n\nedges:\n  A.output_data -> B.input_value\n",
    "wide": (
        "name: Wide\n\nnodes:\n  A: ChatInput\n  B1: CustomComponent\n  B2: CustomComponent\n"
        "  C1: ParserComponent\n  C2: ParserComponent\n  D: CombineText\n  E: ChatOutput\n\nedges:\n"
        "  A.message -> B1.input_value\n  A.message -> B2.input_value\n  B1.output -> C1.input_data\n"
        "  B2.output -> C2.input_data\n  C1.parsed_text -> D.text1\n  C2.parsed_text -> D.text2\n"
        "  D.combined_text -> E.input_value\n\nconfig:\n  C1.pattern: {text}\n  C2.pattern: {text}\n"
    ),
    "loop": (
        "name: Loop\n\nnodes:\n  A: ChatInput\n  B: SplitText\n  C: LoopComponent\n  D: ParserComponent\n"
        "  E: CombineText\n  F: ParserComponent\n  G: ChatOutput\n\nedges:\n  A.message -> B.data_inputs\n"
        "  B.dataframe -> C.data\n  C.item -> D.input_data\n  D.parsed_text -> E.text2\n  E.combined_text -> C.item\n"
        "  C.done -> F.input_data\n  F.parsed_text -> G.input_value\n\nconfig:\n  B.separator: /\n  B.chunk_size: 1\n"
        "  B.chunk_overlap: 0\n  D.pattern: {text}\n  E.text1: item\n  F.pattern: {text}\n"
    ),
    "asking": (
        "name: Asking\n\nnodes:\n  A: ChatInput\n  B: HumanInput\n  C: CustomComponent\n  D: ChatOutput\n\nedges:\n"
        "  A.message -> B.prompt\n  B.branch_approve -> C.input_value\n  C.output -> D.input_value\n"
    ),
}
_SOURCE = """
from lfx.custom.custom_component.component import Component
from lfx.io import MessageTextInput, Output
from lfx.schema.message import Message


class CustomComponent(Component):
    display_name = "Effect"
    name = "CustomComponent"
    metadata = {"flowray": {"effect": "EFFECT"}}
    inputs = [MessageTextInput(name="input_value", display_name="Input", value="")]
    outputs = [Output(name="output", display_name="Output", method="build_output")]

    def build_output(self) -> Message:
        import time

        import httpx

        if "URL":
            httpx.post("URL/effect/" + self.input_value, timeout=20).raise_for_status()
        time.sleep(SLEEP)
        return Message(text=self.input_value)
"""
REPEATED = frozenset({"LoopComponent-C", "ParserComponent-D", "CombineText-E"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of run: its flow, what it is asked, and what is promised of it."""

    name: str
    spec: str
    effect: str = ""
    sleep_s: float = 0.0
    # How often its effect happens when nothing goes wrong.
    effects: int = 0


KINDS = {
    kind.name: kind
    for kind in (
        Kind(name="echo", spec="echo"),
        Kind(name="sync", spec="echo"),
        Kind(name="webhook", spec="hook"),
        Kind(name="skip", spec="through", effect="skip", effects=1),
        Kind(name="ask", spec="through", effect="ask", effects=1),
        Kind(name="replay", spec="through", effect="replay", effects=1),
        Kind(name="parallel", spec="wide", effect="replay", effects=2),
        Kind(name="loop", spec="loop"),
        Kind(name="pause", spec="asking", effect="skip", effects=1),
        Kind(name="cancel", spec="through", effect="replay", sleep_s=8.0),
    )
}


def documents(url: str) -> Mapping[str, dict[str, Any]]:
    """The document of each kind; effects happen at this URL."""
    expanded = flowray.expand(_SPECS)
    return {
        kind.name: {**_filled(expanded[kind.spec], kind, url if kind.effects else ""), "name": kind.name}
        for kind in KINDS.values()
    }


def flow_of(door: Door, spec: str, *, effect: str = "", url: str = "", sleep_s: float = 0.0) -> dict[str, Any]:
    """One document, with the component above where the spec has a custom one."""
    kind = Kind(name=spec, spec=spec, effect=effect, sleep_s=sleep_s)
    return _filled(door.expand(_SPECS[spec]), kind, url)


def order(drawn: Mapping[str, Mapping[str, Any]]) -> Mapping[str, list[tuple[str, str]]]:
    """Which node comes before which, by kind. What goes back into a loop comes after it."""
    return {
        kind: [
            (edge["source"], edge["target"])
            for edge in document["data"]["edges"]
            if not {edge["source"], edge["target"]} <= REPEATED
        ]
        for kind, document in drawn.items()
    }


def said(kind: str, label: str) -> tuple[str, str]:
    """What a run of this kind is given, and what its ChatOutput says when it ends well."""
    if kind == "loop":
        items = [f"{label}.{number}" for number in range(3)]
        return "/".join(items), "\n".join(f"item {item}" for item in items)
    if kind == "parallel":
        return label, f"{label} {label}"
    if kind == "webhook":
        return label, f'```json\n{{\n  "payload": "{label}"\n}}\n```'
    return label, label


def _filled(drawn: Mapping[str, Any], kind: Kind, url: str) -> dict[str, Any]:
    document: dict[str, Any] = {**drawn, "data": {**drawn["data"], "nodes": []}}
    code = _SOURCE.replace("EFFECT", kind.effect).replace("URL", url).replace("SLEEP", str(kind.sleep_s))
    for node in drawn["data"]["nodes"]:
        document["data"]["nodes"].append(_with(node, code, kind) if node["data"]["type"] == "CustomComponent" else node)
    return document


def _with(node: Mapping[str, Any], code: str, kind: Kind) -> dict[str, Any]:
    inner = node["data"]["node"]
    terms = {"effect": kind.effect, **({"alone": True} if kind.spec == "wide" else {})}
    template = {**inner["template"], "code": {**inner["template"]["code"], "value": code}}
    filled = {**inner, "template": template, "metadata": {**(inner.get("metadata") or {}), "flowray": terms}}
    return {**node, "data": {**node["data"], "node": filled}}
