"""What can be listed is checked against its list."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from flowray.observe.families import COUNTED, LOOKED_UP, Family
from flowray_serve.cli.main import app
from flowray_serve.running_settings import PoolSettings
from flowray_serve.settings import variable_names

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
OBSERVING = (ROOT / "docs" / "observing.md").read_text()
FLOORS = " ".join((ROOT / "docs" / "architecture.md").read_text().partition("## Floors")[2].split())
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = {one["containers"][0]: one["layers"] for one in CONTRACTS if one.get("containers")}


@pytest.mark.parametrize("name", sorted(variable_names()))
def test_each_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in REFERENCE


@pytest.mark.parametrize("name", PoolSettings.model_fields)
def test_each_field_of_a_pool_is_documented(name: str) -> None:
    assert f"| `{name}` |" in REFERENCE


def test_each_verb_is_documented() -> None:
    command = typer.main.get_group(app)

    missing = [verb for verb in command.commands if f"`flowray {verb}" not in REFERENCE]

    assert missing == []


@pytest.mark.parametrize("family", [*COUNTED, *LOOKED_UP], ids=lambda family: family.name)
def test_each_metric_is_documented_with_its_labels(family: Family) -> None:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    assert f"| `{family.name}` | {family.kind} | {labels} |" in OBSERVING


@pytest.mark.parametrize("package", LAYERS)
def test_each_floor_is_documented_above_those_below_it(package: str) -> None:
    _, _, rest = FLOORS.partition(f"{package} ")

    for layer in LAYERS[package]:
        _, found, rest = rest.partition(layer)
        assert found, layer


def test_links_between_pages_lead_somewhere() -> None:
    import re

    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]

    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_the_project_names_no_machine_of_ours() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    needles = ("/" + "work/", "/tmp/" + "w/", "bash_" + "jobs")

    found = [name for name in tracked if any(needle in _text(ROOT / name) for needle in needles)]

    assert found == []


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (UnicodeDecodeError, FileNotFoundError):
        return ""
