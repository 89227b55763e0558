"""What people exported from Langflow over the years is read, checked, planned, and migrated without losing a wire."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from lfx.upgrade import apply_safe_upgrades, check_flow_compatibility
from lfx.upgrade.checker import build_registry_lookup

from flowray.component.check import check
from flowray.component.index import find_index, load_index
from flowray.component.migrated import migrated
from flowray.component.release import read_release
from flowray.component.upgrade import judged
from flowray.flow.export import imported
from flowray.flow.langflow import read
from flowray.flow.types import Flow
from flowray.plan.planner import plan
from tests.kit.starters_of import RELEASES, starters_of

CATALOG = load_index(find_index())
RELEASE = read_release(find_index())
TYPES = dict(orjson.loads(find_index().read_bytes())["entries"])
BY_NAME = build_registry_lookup(TYPES)
_LOOPS = {
    (name, output["name"]): output.get("allows_loop") for name, body in BY_NAME.items() for output in body["outputs"]
}
OURS = {"ok": "same", "outdated_safe": "safe", "outdated_breaking": "breaking", "blocked": "unknown"}


def wires(flow: Flow) -> set[tuple[str, str, str, str]]:
    return {(edge.source, edge.output, edge.target, edge.field) for edge in flow.edges}


def require_runnable(flow: Flow) -> None:
    assert [finding for finding in check(flow, CATALOG) if finding.severity == "error"] == []
    assert plan(flow, specs=CATALOG).steps


def test_components_are_known_by_the_names_that_lfx_knows_them_by() -> None:
    assert RELEASE.components == BY_NAME


@pytest.mark.parametrize("release", RELEASES)
def test_a_releases_starters_load_and_migrate(release: str) -> None:
    for name, starter in starters_of(release).items():
        document = imported(starter)
        flow = read(document)
        require_runnable(flow)
        changed = migrated(document, judged(flow, RELEASE), RELEASE)
        after = read(changed.document)
        require_runnable(after)
        assert wires(after) == wires(flow), name
        assert {node.id for node in after.nodes if node.code != flow.by_id[node.id].code} == set(changed.changed)


@pytest.mark.parametrize("release", RELEASES)
def test_lfx_judges_the_same_nodes_safe_but_for_wires_it_would_lose(release: str) -> None:
    for starter in starters_of(release).values():
        document = imported(starter)
        judgements = judged(read(document), RELEASE)
        report = check_flow_compatibility(saying_of_loops(document["data"]), TYPES, registry=BY_NAME)
        theirs = {one.node_id: OURS[one.status] for one in report.nodes}
        assert {one.node for one in judgements} == theirs.keys()
        for one in judgements:
            stricter = one.verdict == "edited" or (theirs[one.node] == "safe" and one.breaks)
            assert one.verdict == theirs[one.node] or stricter
        ours = templates(migrated(document, judgements, RELEASE).document["data"])
        applied = templates(apply_safe_upgrades(saying_of_loops(document["data"]), TYPES, report, registry=BY_NAME))
        safe = [one.node for one in judgements if one.verdict == "safe"]
        assert {node: ours[node] for node in safe} == {node: applied[node] for node in safe}


def saying_of_loops(canvas: Any) -> Any:
    """The canvas with what lfx misses in exports from before there were loops: that an output closes none."""
    said = copy.deepcopy(canvas)
    for node in said["nodes"]:
        for output in node["data"].get("node", {}).get("outputs") or []:
            if (known := _LOOPS.get((node["data"].get("type"), output["name"]))) is False:
                output.setdefault("allows_loop", known)
    return said


def templates(canvas: Any) -> dict[str, Any]:
    found = [node for node in canvas["nodes"] if "node" in node["data"]]
    return {node["id"]: node["data"]["node"].get("template") for node in found}
