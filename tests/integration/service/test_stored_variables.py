"""Variables of a tenant in real runs: those that a flow refers to are there, the others are not, and all are masked."""

from __future__ import annotations

from tests.attacks.attack import IMPORTS
from tests.kit.door import Door, run_body
from tests.kit.probes import probe
from tests.kit.reference import Reference

TELLER = (
    IMPORTS
    + """

class CustomComponent(Component):
    display_name = "Teller"
    name = "CustomComponent"
    inputs = [MessageTextInput(name="input_value", display_name="Input", value="")]
    outputs = [Output(name="output", display_name="Output", method="build_output")]

    def build_output(self) -> Data:
        import os

        told = os.environ.get("TOLD_TOKEN", "")
        others = [name for name in os.environ if name.startswith("UNTOLD")]
        return Data(value=f"told {told} {''.join(reversed(told))} others {others}")
"""
)
SECRET = "sk-abcdefgh-12345678"


def test_a_run_gets_the_variable_that_its_flow_names_and_says_it_to_nobody(door: Door, reference: Reference) -> None:
    for name in ("TOLD_TOKEN", "UNTOLD_TOKEN"):
        kept = door.http.post("/api/v1/variables/", json={"name": name, "value": SECRET})
        assert kept.status_code in (201, 400), kept.text

    answer = door.http.post(f"/api/v1/run/{door.publish(probe(reference, TELLER))}", json=run_body("go"))

    assert answer.status_code == 200, answer.text
    assert SECRET[::-1] in answer.text  # it was there, though only spelt backwards it is seen
    assert "others []" in answer.text
    assert SECRET not in answer.text
    journal = door.http.get(f"/api/v1/runs/{answer.headers['x-flowray-run']}/events").text
    assert SECRET[::-1] in journal
    assert SECRET not in journal
