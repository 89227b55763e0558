"""Runs asked for in the other ways that Langflow knows: as a form, in a browser's session, with several inputs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.serve.service import ECHO, service


def text_of(answer: dict[str, Any], number: int = 0) -> str:
    text: str = answer["outputs"][number]["outputs"][0]["results"]["message"]["text"]
    return text


@pytest.mark.parametrize("multipart", [True, False])
async def test_a_form_says_what_json_says(*, multipart: bool) -> None:
    made = service()
    flow = await made.publish(ECHO)
    fields = {"input_value": "hi", "session_id": "s", "tweaks": json.dumps({"ChatOutput-1": {"input_value": "x"}})}
    sent: dict[str, Any] = {"files": {name: (None, value) for name, value in fields.items()}}
    if not multipart:
        sent = {"data": fields}
    answer = (await made.http.post(f"/api/v1/run/{flow}", **sent)).json()
    assert (text_of(answer), answer["session_id"]) == ("hi", "s")
    assert made.steps.requests[-1].flow.nodes[1].fields["input_value"].value == "x"


async def test_a_form_is_a_form_however_its_type_is_written() -> None:
    made = service()
    flow = await made.publish(ECHO)
    headers = {"content-type": "Application/X-WWW-Form-UrlEncoded"}
    answer = await made.http.post(f"/api/v1/run/{flow}", content=b"input_value=hi", headers=headers)
    assert (answer.status_code, text_of(answer.json())) == (200, "hi")


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [({"tweaks": "{"}, 400, "JSON"), ({"output_type": "bad"}, 422, "output_type"), ({"tweaks": "[1]"}, 422, "tweaks")],
)
async def test_a_form_that_does_not_fit_is_refused(fields: dict[str, str], status: int, says: str) -> None:
    made = service()
    response = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", data=fields)
    assert response.status_code == status
    assert says in response.json()["detail"]


async def test_a_form_that_is_none_is_refused() -> None:
    made = service()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", content=b"junk", headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_form")


PART = b'--x\r\nContent-Disposition: form-data; name="input_value"\r\n\r\nhello'


@pytest.mark.parametrize("content", [b"", PART[:30], PART, PART + b"\r\n--x", PART + b"\r\n--x\r\n"])
async def test_a_form_that_is_cut_off_runs_nothing(content: bytes) -> None:
    made = service()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    path = f"/api/v1/run/{await made.publish(ECHO)}"

    cut = await made.http.post(path, content=content, headers=headers)
    whole = await made.http.post(path, content=PART + b"\r\n--x--", headers=headers)

    assert cut.status_code == 400
    assert "ends before its last boundary" in cut.json()["detail"]
    assert (text_of(whole.json()), len(made.steps.requests)) == ("hello", 1)


@pytest.mark.parametrize("content", [b'{"input_value": "hi"}', b' \n{"input_value": "hi", "session_id": "s"}'])
async def test_json_that_is_announced_as_a_form_is_json(content: bytes) -> None:
    """As `curl -d` announces it, which Langflow reads so too."""
    made = service()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", content=content, headers=headers)
    assert text_of(response.json()) == "hi"


async def test_broken_json_that_is_announced_as_a_form_is_refused() -> None:
    made = service()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", content=b'{"input_', headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")


async def test_a_browsers_session_runs_a_flow_too() -> None:
    made = service()
    response = await made.http.post(f"/api/v1/run/session/{await made.publish(ECHO)}", json={"input_value": "hi"})
    assert text_of(response.json()) == "hi"


async def test_each_of_several_inputs_has_a_run_of_its_own() -> None:
    made = service()
    flow = await made.publish(ECHO)
    body = {"inputs": [{"input_value": "a"}, {"input_value": "b"}], "session_id": "s"}
    answer = (await made.http.post(f"/api/v1/run/advanced/{flow}", json=body)).json()
    assert [text_of(answer, number) for number in range(2)] == ["a", "b"]
    assert len({request.run for request in made.steps.requests}) == 2
    assert {request.session for request in made.steps.requests} == {"s"}


async def test_an_input_goes_to_the_components_it_names() -> None:
    made = service()
    flow = await made.publish(ECHO)
    body = {"inputs": [{"components": ["ChatInput-1"], "input_value": "a"}]}
    await made.http.post(f"/api/v1/run/advanced/{flow}", json=body)
    (request,) = made.steps.requests
    assert request.input_value is None
    assert request.flow.nodes[0].fields["input_value"].value == "a"


async def test_an_input_for_a_component_whose_tweak_is_no_object_is_refused() -> None:
    made = service()
    flow = await made.publish(ECHO)
    body = {"inputs": [{"components": ["ChatInput-1"]}], "tweaks": {"ChatInput-1": "hi"}}
    response = await made.http.post(f"/api/v1/run/advanced/{flow}", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert "`ChatInput-1`" in response.json()["detail"]


async def test_only_the_outputs_asked_for_answer() -> None:
    made = service()
    flow = await made.publish(ECHO)
    body = {"inputs": [{"input_value": "a"}], "outputs": ["ChatInput-1"]}
    answer = (await made.http.post(f"/api/v1/run/advanced/{flow}", json=body)).json()
    assert [one["component_id"] for one in answer["outputs"][0]["outputs"]] == ["ChatInput-1"]
