"""The jobs of an editor: what a component's source says of itself, and what it makes of a changed field.

They do what Langflow's own routes do, with lfx's own code; only that the source is loaded behind the walls.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from lfx.base.prompts.api_utils import process_prompt_template
from lfx.custom.custom_component.component import Component
from lfx.custom.utils import (
    add_code_field_to_build_config,
    build_custom_component_template,
    update_component_build_config,
)
from lfx.custom.validate import validate_code
from lfx.schema.dotdict import dotdict

from flowray_sandbox import capture, classes
from flowray_sandbox.channel import Channel
from flowray_sandbox.failures import component_failed
from flowray_sandbox.report import Report, json_of

_EMPTY_NODE: Mapping[str, Any] = {
    "name": "",
    "is_input": None,
    "is_output": None,
    "is_composition": None,
    "error": None,
    "full_path": None,
    "priority": None,
    "replacement": None,
    "add_tool_output": None,
}
Facts = Mapping[str, Any]
_Work = Callable[[Facts], Coroutine[Any, Any, dict[str, Any]]]


async def describe(spec: Facts, _: list[bytes], channel: Channel) -> dict[str, Any]:
    """The node that this source makes; with `frontend_node`, as an update of that one."""
    return await _told(_describe, spec, channel)


async def refresh(spec: Facts, _: list[bytes], channel: Channel) -> dict[str, Any]:
    """The node after `field` got `field_value`: components may show other fields and outputs then."""
    return await _told(_refresh, spec, channel)


async def validate(spec: Facts, _: list[bytes], channel: Channel) -> dict[str, Any]:
    """What is wrong with a source, without loading it."""
    return await _told(_validate, spec, channel)


async def prompt(spec: Facts, _: list[bytes], channel: Channel) -> dict[str, Any]:
    """The variables of a prompt, and the node with a field for each."""
    return await _told(_prompt, spec, channel)


async def _told(work: _Work, spec: Facts, channel: Channel) -> dict[str, Any]:
    capture.capture(Report(channel))
    try:
        return await work(spec)
    except (Exception, SystemExit) as cause:  # noqa: BLE001 - the source may raise anything while it is loaded
        raise component_failed(cause, code=str(spec.get("code") or "")) from None
    finally:
        capture.tell_rest()


async def _describe(spec: Facts) -> dict[str, Any]:
    old = spec.get("frontend_node") or {}
    frontend, instance = _built(str(spec["code"]), _class_name(old))
    if old:
        frontend = await instance.update_frontend_node(frontend, old)
    if isinstance(instance, Component):
        shown = frontend.get("tool_mode", False)
        await instance.run_and_validate_update_outputs(
            frontend_node=frontend, field_name="tool_mode", field_value=shown
        )
    return {"frontend": json_of(frontend), "name": _name(instance)}


async def _refresh(spec: Facts) -> dict[str, Any]:
    code, template = str(spec["code"]), dict(spec["template"])
    frontend, instance = _built(code, _class_name(spec.get("frontend_node") or {}))
    frontend["tool_mode"] = bool(spec.get("tool_mode"))
    if hasattr(instance, "set_attributes"):
        instance.set_attributes(_values(template))
    changed: Any = await update_component_build_config(
        instance, build_config=dotdict(template), field_value=spec.get("field_value"), field_name=spec["field"]
    )
    config: Any = changed if changed is not None else dotdict(template)
    if not (config.get("code") or {}).get("value"):
        config = add_code_field_to_build_config(config, code)
    frontend["template"] = config
    if isinstance(instance, Component):
        await instance.run_and_validate_update_outputs(
            frontend_node=frontend, field_name=spec["field"], field_value=spec.get("field_value")
        )
    return {"frontend": json_of(frontend), "name": _name(instance)}


async def _validate(spec: Facts) -> dict[str, Any]:
    return dict(validate_code(str(spec["code"])))  # type: ignore[no-untyped-call]


async def _prompt(spec: Facts) -> dict[str, Any]:
    node = dict(spec["frontend_node"])
    variables = process_prompt_template(
        template=str(spec["template"]),
        name=str(spec["name"]),
        custom_fields=node.get("custom_fields"),
        frontend_node_template=node.get("template") or {},
        is_mustache=bool(spec.get("mustache")),
    )
    # As Langflow's route has it, the node comes back with all the fields that a node can have.
    return {"input_variables": variables, "frontend_node": json_of({**_EMPTY_NODE, **node})}


def _built(code: str, class_name: str | None) -> tuple[dict[str, Any], Any]:
    # Evaluated here first: lfx would wrap whatever the source raises into an HTTP error without its own words.
    made = classes.component_class(code, class_name)
    instance: Any = made(_code=code)
    frontend, built = build_custom_component_template(instance, class_name=class_name)
    return frontend, built


def _class_name(node: Mapping[str, Any]) -> str | None:
    metadata = node.get("metadata")
    name = metadata.get("component_class_name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) and name else None


def _values(template: Mapping[str, Any]) -> dict[str, Any]:
    """What the component's fields hold. A variable is not asked for: the name of one is no secret's value."""
    fields = {name: field for name, field in template.items() if isinstance(field, dict) and name != "code"}
    return {name: None if field.get("load_from_db") else field.get("value") for name, field in fields.items()}


def _name(instance: Any) -> str:
    return str(instance.name or type(instance).__name__)
