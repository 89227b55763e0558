"""A value that fits a JSON schema: the same schema and seed give the same value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEEPEST = 12
# A default of nothing often does not fit its own schema, which is how "required" looks in Langflow's tools.
_NOTHING: tuple[object, ...] = (None, "", [], {})


def sample(schema: Mapping[str, Any], *, seed: str, name: str = "value") -> Any:
    """A value that fits `schema`; strings say which field they fill."""
    return _Sampler(schema, seed).value(schema, name, 0)


class _Sampler:
    """Follows one schema and its `$ref`s."""

    def __init__(self, root: Mapping[str, Any], seed: str) -> None:
        self._root = root
        self._seed = seed

    def value(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        fixed = [schema.get("const"), schema.get("default"), *schema.get("enum", [])]
        if given := [one for one in fixed if one not in _NOTHING]:
            return given[0]
        if depth > _DEEPEST:
            return None
        match _type_of(schema):
            case "object":
                fields: Mapping[str, Any] = schema.get("properties", {})
                return {field: self.value(fields[field], field, depth + 1) for field in fields}
            case "array":
                items = schema.get("items") or {"type": "string"}
                return [self.value(items, name, depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]
            case kind:
                return self._scalar(kind, schema, name)

    def _scalar(self, kind: str, schema: Mapping[str, Any], name: str) -> Any:
        match kind:
            case "integer" | "number":
                return schema.get("minimum", schema.get("exclusiveMinimum", 6) + 1)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return f"{name} {self._seed}"

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(_DEEPEST):
            schema = _first_choice(schema)
            if "$ref" not in schema:
                return schema
            schema = self._followed(schema["$ref"])
        return schema

    def _followed(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return found  # type: ignore[no-any-return]  # JSON


def _first_choice(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
    wanted = [choice for choice in choices if choice.get("type") != "null"]
    return wanted[0] if wanted else schema


def _type_of(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    return kinds if isinstance(kinds, str) else next(kind for kind in kinds if kind != "null")
