"""The body of `POST /api/v1/run/{flow}`, as Langflow's clients write it: flat, or embedded under `input_request`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.types import Message

from flowray_serve.bodies.form import MULTIPART, URLENCODED, sent_form
from flowray_serve.bodies.reading import fit, parse_json, parse_object

_FIELDS_LIMIT = 20
NAME_LIMIT = 256
SECRET_LIMIT = 64 * 1024


class RunContext(BaseModel):
    """What a run may know beside its input: its secrets, and whatever else goes to the flow's shared context."""

    model_config = ConfigDict(frozen=True, extra="allow")

    request_variables: Mapping[str, str] = Field(default_factory=dict, description="Global variables of this run only.")


class RerunBody(BaseModel):
    """Where a run is to begin again, and with which other values (`set`: `field` or `node.field`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: str = Field(alias="from", max_length=NAME_LIMIT, description="The first node to run again.")
    values: Mapping[str, Any] = Field(default_factory=dict, alias="set")


class ReplayBody(BaseModel):
    """With which flow to replay: another version published under this id or name; else the one that ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow: str | None = Field(None, max_length=NAME_LIMIT)


class RunBody(BaseModel):
    """What to run the flow with. Without `input_value`, the inputs keep the values saved in the flow."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_value: str | None = Field(None, description="Goes to the flow's inputs of type `input_type`.")
    input_type: Literal["chat", "text", "any"] = "chat"
    output_type: Literal["chat", "text", "any", "debug"] = Field("chat", description="Which outputs answer.")
    output_component: str | None = Field("", description="Id or name of the one node that answers.")
    tweaks: Mapping[str, Any] | None = Field(None, description="Field values by node id, node name or field name.")
    session_id: str | None = Field(None, max_length=NAME_LIMIT, description="Chat memory; the flow's id without it.")
    stream: bool = Field(default=False, description="Same as the query parameter.")
    context: RunContext = Field(default_factory=RunContext)


async def sent_run(request: Request, content: bytes) -> RunBody:
    """The run that a request with this body asks for: JSON, or a form with the same fields, `tweaks` in it as JSON.

    What begins with a brace is JSON, whatever it is announced as: `curl -d` says that everything is a form, and read as
    one it would have no input, and the flow would run with what it has saved.
    """
    is_form = request.headers.get("content-type", "").lower().startswith((MULTIPART, URLENCODED))
    if not is_form or content.lstrip().startswith(b"{"):
        return run_body(content)

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async with sent_form(Request(request.scope, receive), fields=_FIELDS_LIMIT) as form:
        sent: dict[str, Any] = {name: value for name, value in form.items() if isinstance(value, str)}
    for name in ("tweaks", "context"):
        if sent.get(name):
            sent[name] = parse_json(sent[name].encode("utf-8", "surrogatepass"))
    return fit(RunBody, {name: value for name, value in sent.items() if value != "" or name == "input_value"})


def run_body(body: bytes) -> RunBody:
    """The run body, whichever of its two shapes it came in."""
    parsed = parse_object(body)
    embedded = parsed.get("input_request")
    if isinstance(embedded, dict):
        parsed = {**embedded, **{key: parsed[key] for key in ("context", "stream") if key in parsed}}
    if parsed.get("context", ...) is None:
        del parsed["context"]
    return fit(RunBody, parsed)
