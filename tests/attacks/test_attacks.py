"""Every attack, as a component inside a flow, published and run over HTTP on the production sandbox."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.attacks.attack import ATTACKS, Attack
from tests.attacks.cases import channel, files, kernel, loading, memory, network, processes
from tests.attacks.publish import attack_flow, run_of

_CASES = (channel, files, kernel, memory, network, processes)  # importing them registers their attacks


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_held_and_the_service_goes_on(attack: Attack, attacked: httpx.Client, neighbour_flow: str) -> None:
    answer = run_of(attacked, attack_flow(attack.source, name=attack.name))

    _held(attack, answer)
    said = attacked.post(f"/api/v1/run/{neighbour_flow}", json={"input_value": "still there?"})
    assert said.status_code == 200, said.text
    assert "still there?" in said.text


@pytest.mark.parametrize("source", loading.LOADING.values(), ids=loading.LOADING.keys())
def test_looking_at_a_component_runs_nothing_on_the_trusted_side(source: str, attacked: httpx.Client) -> None:
    from pathlib import Path

    run_of(attacked, attack_flow(source, name=f"loading {uuid.uuid4()}"))

    assert not Path(loading.CANARY).exists()


def _held(attack: Attack, answer: httpx.Response) -> None:
    body: dict[str, Any] = answer.json()
    if answer.status_code == 200:
        text = body["outputs"][0]["outputs"][0]["results"]["message"]["text"]
        assert text.startswith("held"), text
        return
    assert attack.ends, f"the attack ended its run instead of answering: {body}"
    assert body["kind"] in attack.ends, body
