"""Every attack, as a component inside a flow, published and run over HTTP on the production sandbox."""

from __future__ import annotations

import uuid
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


@pytest.mark.parametrize("egress", ["on", "off"])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_held_and_leaves_nothing_and_the_service_goes_on(
    attack: Attack, egress: str, scene: Scene
) -> None:
    flow = probe(scene.reference, attack.source)
    if egress == "off":
        flow["data"]["flowray"] = {"egress": []}

    answer = _run(scene.door, flow)

    _held(attack, answer)
    assert scene.door.run(scene.neighbour, "still there?").text == "still there?"
    assert settled(scene.supervisor, scene.before) == []


@pytest.mark.parametrize("source", loading.LOADING.values(), ids=loading.LOADING.keys())
def test_looking_at_a_component_runs_nothing_on_the_trusted_side(source: str, door: Door, reference: Reference) -> None:
    canary = f"/tmp/flowray-canary-{uuid.uuid4()}"

    _run(door, probe(reference, source.replace(loading.CANARY, canary)))

    assert not Path(canary).exists()


def _run(door: Door, flow: dict[str, Any]) -> httpx.Response:
    return door.http.post(f"/api/v1/run/{door.publish(flow)}", json=run_body("go"))


def _held(attack: Attack, answer: httpx.Response) -> None:
    if answer.status_code == 200:
        assert "ESCAPED" not in answer.text, answer.text[-2000:]
        assert "held" in answer.text, answer.text[-2000:]
        return
    problem = answer.json()
    assert attack.ends, f"the attack ended its run instead of answering: {problem}"
    assert problem["kind"] in attack.ends, problem
