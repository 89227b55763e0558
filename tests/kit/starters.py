"""Langflow's starter flows, read out of its wheel; no test data of theirs lives in this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

WHEEL = "langflow-base==1.13.0"
PROVIDER, MODEL = "OpenAI", "gpt-4o-mini"
FOLDER = "langflow/initial_setup/starter_projects/"


@cache
def starters() -> dict[str, dict[str, Any]]:
    """All starter flows by name."""
    with zipfile.ZipFile(wheel()) as archive:
        names = [name for name in archive.namelist() if name.startswith(FOLDER) and name.endswith(".json")]
        flows = [json.loads(archive.read(name)) for name in sorted(names)]
    return {flow["name"]: flow for flow in flows}


def model_tweaks(flow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Tweaks that choose a model wherever the flow leaves the choice open."""
    choice = [{"name": MODEL, "provider": PROVIDER, "metadata": {}}]
    return {
        node["id"]: dict.fromkeys(fields, choice) for node in components(flow) if (fields := _fields(node, "model"))
    }


def components(flow: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes that run; notes do not."""
    return (node for node in flow["data"]["nodes"] if node.get("type") != "noteNode")


def nodes_of(flow: Mapping[str, Any], component: str) -> list[str]:
    """The ids of the nodes of this component type."""
    return [node["id"] for node in components(flow) if node["data"]["type"] == component]


def with_values(flow: Mapping[str, Any], tweaks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A copy of `flow` with these values saved in it."""
    changed: dict[str, Any] = json.loads(json.dumps(flow))
    for node in components(changed):
        for field, value in tweaks.get(node["id"], {}).items():
            node["data"]["node"]["template"][field]["value"] = value
    return changed


def with_source(flow: Mapping[str, Any], node_id: str, replacements: Mapping[str, str]) -> dict[str, Any]:
    """A copy of `flow` whose node has another source, as a user edits it in the canvas."""
    changed: dict[str, Any] = json.loads(json.dumps(flow))
    for node in components(changed):
        if node["id"] == node_id:
            code = node["data"]["node"]["template"]["code"]
            for old, new in replacements.items():
                if old not in code["value"]:
                    raise ValueError(f"{node_id} does not contain {old!r} any more.")
                code["value"] = code["value"].replace(old, new)
            node["data"]["node"]["edited"] = True
    return changed


def _fields(node: Mapping[str, Any], kind: str) -> list[str]:
    template = node["data"]["node"]["template"]
    return [name for name, field in template.items() if isinstance(field, dict) and field.get("type") == kind]


def wheel(name: str = WHEEL) -> Path:
    """The wheel of a distribution, from the cache; fetched the first time."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowray-tests"
    pattern = f"{name.replace('-', '_').replace('==', '-')}-*.whl"
    if (found := next(folder.glob(pattern), None)) is None:
        _download(folder, name)
        found = next(folder.glob(pattern))
    return found


def _download(folder: Path, name: str) -> None:
    """Fetch the wheel with whichever pip there is; a virtual environment made by uv has none of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    refusals = []
    for pip in _pips():
        command = [*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), name]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return
        refusals.append(f"{' '.join(pip)}: {done.stderr.strip()[-300:]}")
    raise RuntimeError(f"No pip here could download {name}:\n" + "\n".join(refusals))


def _pips() -> Iterator[Sequence[str]]:
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    for python in (sys.executable, str(base), shutil.which("python3")):
        if python:
            yield (python, "-m", "pip")
    for uv in (shutil.which("uv"), Path(sys.executable).with_name("uv")):
        if uv and Path(uv).exists():
            yield (str(uv), "tool", "run", "pip")
