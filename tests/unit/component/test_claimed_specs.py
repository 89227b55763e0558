"""The spec a node carries with it, and the needs in it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from flowray.component.claims import claimed
from flowray.component.spec import Needs
from flowray.errors import FlowFormatError
from tests.unit.build import field, flow_of, node, output


def needing(**needs: Any) -> Needs:
    [claimant] = flow_of(node("a", metadata={"flowray": needs})).nodes
    return claimed(claimant).needs


def test_a_node_claims_what_its_export_says() -> None:
    noted = {"dependencies": {"dependencies": [{"name": "lfx", "version": None}, {"name": "bs4"}]}}
    [claimant] = flow_of(node("a", "Mine", code="x = 2", outputs=(output("out", "Data"),), metadata=noted)).nodes

    spec = claimed(claimant)

    assert (spec.digest, spec.name, spec.origin) == (hashlib.sha256(b"x = 2").hexdigest(), "Mine", "flow")
    assert (spec.imports, spec.needs, spec.outputs) == (("lfx", "bs4"), Needs(), claimant.outputs)


def test_a_claim_carries_no_values() -> None:
    [claimant] = flow_of(node("a", fields=(field("key", password=True, value="sk-secret"),))).nodes

    assert "sk-secret" not in repr(claimed(claimant))
    assert not claimed(claimant).frontend


def test_needs_are_read() -> None:
    needs = needing(cpu=2, memory_mib=4096, gpu=0.5, pool="gpu", heavy=True, alone=True)

    assert needs == Needs(cpu=2.0, memory_mib=4096, gpu=0.5, pool="gpu", heavy=True, alone=True)


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"gpus": 1}, "Node `a`, `metadata.flowray`: there is no need called `gpus`. Did you mean `gpu`?"),
        ({"xyz": 1}, "there is no need called `xyz`. Known are cpu, memory_mib, gpu, pool, heavy, alone, attempts,"),
        ({"gpu": -1}, "Node `a`, `metadata.flowray.gpu`: expected a number of 0 or more"),
        ({"cpu": True}, "`metadata.flowray.cpu`: expected a number of 0 or more, got true or false"),
        ({"cpu": 1e306}, "`metadata.flowray.cpu`: no pool has so much. At most 1,099,511,627,776 can be asked for."),
        ({"memory_mib": 1e30}, "`metadata.flowray.memory_mib`: no pool has so much."),
        ({"pool": ""}, "`metadata.flowray.pool`: expected the name of a pool"),
        ({"heavy": 1}, "`metadata.flowray.heavy`: expected true or false, got a number"),
    ],
)
def test_needs_that_mean_nothing_are_refused(needs: dict[str, Any], said: str) -> None:
    with pytest.raises(FlowFormatError) as caught:
        needing(**needs)

    assert said in caught.value.message
