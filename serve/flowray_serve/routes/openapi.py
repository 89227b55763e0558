"""The API's description. Bodies are read by hand, with limits, so their schemas are added by hand too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

_OPENAI = "/v1/"
_REFERENCE = "#/components/schemas/{model}"
# What routes say they take and answer. FastAPI would make schemas of it whenever an application is built.
_bodies: dict[str, type[BaseModel]] = {}
_answers: dict[str, Any] = {}
_ANSWER = "x-answer"
_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "fault"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What exactly went wrong, and what to do."},
        "code": {"type": "string", "description": "Stable and machine readable."},
        "fault": {"enum": ["caller", "flow", "component", "service"], "description": "Who can mend it."},
        "instance": {"type": "string"},
    },
}


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """What to give a route as `openapi_extra` when its body is `model`."""
    _bodies[model.__name__] = model
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


def takes_file() -> dict[str, Any]:
    """What to give a route that takes one uploaded file."""
    schema = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}


def takes_form(*names: str) -> dict[str, Any]:
    """What to give a route that takes a form of texts."""
    schema = {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}
    return {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}}


def takes_ids() -> dict[str, Any]:
    """What to give a route whose body is a list of ids."""
    schema = {"type": "array", "maxItems": 10_000, "items": {"type": "string", "format": "uuid"}}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def takes_names() -> dict[str, Any]:
    """What to give a route whose body is a list of names."""
    schema = {"type": "array", "maxItems": 10_000, "items": {"type": "string", "maxLength": 1_000}}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def says(answer: Any, *, status: int = 200, or_as: Sequence[str] = ()) -> dict[int | str, dict[str, Any]]:
    """What to give a route as `responses` when it answers with such JSON (see `flowray_serve.answers`).

    `or_as` are other media types that it answers with when it is asked to.
    """
    _answers[repr(answer)] = answer
    others: dict[str, Any] = {media_type: {} for media_type in or_as}
    return {status: {"content": {"application/json": {"schema": {_ANSWER: repr(answer)}}, **others}}}


def says_object(*, or_as: Sequence[str] = ()) -> dict[int | str, dict[str, Any]]:
    """As `says`, for objects whose words are somebody else's: Langflow's, OpenAI's, a component's."""
    return says(dict[str, Any], or_as=or_as)


def gives(media_type: str) -> dict[int | str, dict[str, Any]]:
    """What to give a route as `responses`, beside `response_class=Response`, when it answers with no JSON."""
    return {200: {"content": {media_type: {}}}}


def describe(app: FastAPI) -> None:
    """Make `app` serve a description with the bodies, the key and the problem documents in it."""

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign] # FastAPI's documented way


def _description(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    _, bodies = models_json_schema([(model, "validation") for model in _bodies.values()], ref_template=_REFERENCE)
    answers, shared = _schemas_of_answers()
    components.setdefault("schemas", {}).update(bodies["$defs"], **shared, Problem=_PROBLEM)
    components["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
    problem = {"content": {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}}
    components["responses"] = {"Problem": {"description": "A problem document (RFC 9457).", **problem}}
    document["security"] = [{"key": []}]
    components["responses"]["OpenAIError"] = {
        "description": "An error as OpenAI's clients read it.",
        # Who has no key is told before the route is, and told as everywhere.
        "content": {"application/json": {"schema": {"type": "object", "required": ["error"]}}, **problem["content"]},
    }
    for path, operations in document["paths"].items():
        kind = "OpenAIError" if path.startswith(_OPENAI) else "Problem"
        for operation in operations.values():
            _describe_answers(operation, answers)
            operation["responses"]["default"] = {"$ref": f"#/components/responses/{kind}"}
            operation["responses"].pop("422", None)
            # FastAPI takes the handler's name, which says little.
            operation["summary"] = operation["description"].partition(". ")[0].removesuffix(".")
    return document


def _schemas_of_answers() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The schema of each answer by its name, and those that they share."""
    adapters = [(name, "serialization", TypeAdapter(answer)) for name, answer in _answers.items()]
    schemas, shared = TypeAdapter.json_schemas(adapters, ref_template=_REFERENCE)  # type: ignore[arg-type]  # literals
    return {name: schema for (name, _), schema in schemas.items()}, shared["$defs"]


def _describe_answers(operation: Mapping[str, Any], answers: Mapping[str, Any]) -> None:
    for response in operation["responses"].values():
        content = response.get("content", {}).get("application/json", {})
        if _ANSWER in content.get("schema", {}):
            content["schema"] = answers[content["schema"][_ANSWER]]
