"""The job `extract`: from a component's source to what the editor and the planner need to know about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfx.custom.dependency_analyzer import analyze_dependencies
from lfx.custom.utils import build_custom_component_template

from flowray_sandbox import capture, classes
from flowray_sandbox.channel import Channel
from flowray_sandbox.failures import component_failed
from flowray_sandbox.report import Report, json_of


async def extract(spec: Mapping[str, Any], _: list[bytes], channel: Channel) -> dict[str, Any]:
    """Load the source and answer with its frontend node (inputs, outputs, types) and the packages it imports."""
    capture.capture(Report(channel))
    code = str(spec["code"])
    try:
        frontend, name = await _frontend(code, spec.get("name") or None)
        imports = sorted({found["name"] for found in analyze_dependencies(code, resolve_versions=False)} - {""})
    except (Exception, SystemExit) as cause:  # noqa: BLE001 - the source may raise anything while it is loaded
        raise component_failed(cause, code=code) from None
    finally:
        capture.tell_rest()
    return {"frontend": json_of(frontend), "imports": imports, "name": name}


async def _frontend(code: str, class_name: str | None) -> tuple[dict[str, Any], str]:
    # Evaluated here first: lfx would wrap whatever the source raises into an HTTP error without its own words.
    made = classes.component_class(code, class_name)
    instance: Any = made(_code=code)
    frontend, _ = build_custom_component_template(instance)
    return frontend, str(instance.name or type(instance).__name__)
