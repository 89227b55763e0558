"""Every attack, as a component inside a flow, published and run over HTTP on the production sandbox."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.attacks.attack import ATTACKS, Attack
from tests.attacks.cases import channel, files, kernel, loading, memory, network, processes
from tests.kit.door import Door, run_body
from tests.kit.footprint import Footprint, footprint, settled
from tests.kit.probes import probe
from tests.kit.reference import Reference
from tests.kit.service import Service

_CASES = (channel, files, kernel, memory, network, processes)  # importing them registers their attacks
_WARM_UP = 20
_ALL = [(attack, egress) for attack in ATTACKS.values() for egress in ("on", "off")]
_QUICK = [one for one in _ALL if not one[0].lasts]
_LASTING = [one for one in _ALL if one[0].lasts]
ECHO = "name: Echo\nnodes:\n  A: ChatInput\n  B: ChatOutput\nedges:\n  A.message -> B.input_value\n"


@dataclass(frozen=True)
class Scene:
    """Where attacks happen: the way in, what makes flows, a neighbour's flow, and what the service holds at rest."""

    door: Door
    reference: Reference
    neighbour: str
    supervisor: int
    before: Footprint


@pytest.fixture(scope="module")
def scene(door: Door, reference: Reference, service: Service) -> Scene:
    neighbour = door.publish(reference.expand(ECHO))
    for _ in range(_WARM_UP):
        door.run(neighbour, "go")
    return Scene(door, reference, neighbour, service.supervisor, footprint(service.supervisor))


def _named(one: object) -> str:
    return one.name if isinstance(one, Attack) else str(one)


@pytest.mark.parametrize(("attack", "egress"), _QUICK, ids=_named)
def test_an_attack_is_held_and_leaves_nothing_and_the_service_goes_on(
    attack: Attack, egress: str, scene: Scene
) -> None:
    answer = _run(scene.door, _flow(scene, attack, egress))

    _held(attack, answer)
    _goes_on(scene)


@pytest.fixture(scope="module")
def lasted(scene: Scene) -> Mapping[tuple[str, str], httpx.Response]:
    """What came of those attacks that wait for the end of their time: they wait together, beside a neighbour."""
    flows = [_flow(scene, attack, egress) for attack, egress in _LASTING]
    with ThreadPoolExecutor(len(flows)) as threads:
        running = [threads.submit(_run, scene.door, flow) for flow in flows]
        while wait(running, timeout=1).not_done:
            assert scene.door.run(scene.neighbour, "beside them").text == "beside them"
    _goes_on(scene)
    return {(attack.name, egress): one.result() for (attack, egress), one in zip(_LASTING, running, strict=True)}


@pytest.mark.parametrize(("attack", "egress"), _LASTING, ids=_named)
def test_an_attack_that_lasts_is_held_while_a_neighbour_s_runs_go_on_beside_it(
    attack: Attack, egress: str, lasted: Mapping[tuple[str, str], httpx.Response]
) -> None:
    _held(attack, lasted[attack.name, egress])


@pytest.mark.parametrize("source", loading.LOADING.values(), ids=loading.LOADING.keys())
def test_looking_at_a_component_runs_nothing_on_the_trusted_side(source: str, door: Door, reference: Reference) -> None:
    canary = f"/tmp/flowray-canary-{uuid.uuid4()}"

    _run(door, probe(reference, source.replace(loading.CANARY, canary)))

    assert not Path(canary).exists()


def _run(door: Door, flow: dict[str, Any]) -> httpx.Response:
    return door.http.post(f"/api/v1/run/{door.publish(flow)}", json=run_body("go"))


def _flow(scene: Scene, attack: Attack, egress: str) -> dict[str, Any]:
    flow = probe(scene.reference, attack.source)
    flow["name"] = f"{attack.name} {egress}"
    if egress == "off":
        flow["data"]["flowray"] = {"egress": []}
    return flow


def _goes_on(scene: Scene) -> None:
    assert scene.door.run(scene.neighbour, "still there?").text == "still there?"
    assert settled(scene.supervisor, scene.before) == []


def _held(attack: Attack, answer: httpx.Response) -> None:
    if answer.status_code == 200:
        assert "ESCAPED" not in answer.text, answer.text[-2000:]
        assert "held" in answer.text, answer.text[-2000:]
        return
    problem = answer.json()
    assert attack.ends, f"the attack ended its run instead of answering: {problem}"
    assert problem.get("kind") in attack.ends, problem
