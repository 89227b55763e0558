"""Signing in over HTTP."""

from __future__ import annotations

import json

import pytest

from flowray.engine.commands import StartStep
from flowray.runner.body import Bodies
from flowray.runner.spec import Inputs, run_frames
from flowray.sandbox.limits import Limits
from flowray_serve.run_service import RunOrder
from tests.unit.serve.service import ECHO, KEY, OTHER_KEY, service

SIGNED_OUT = {"x-api-key": ""}


async def test_a_tenants_name_and_key_give_a_token_that_works_as_bearer() -> None:
    made = service()
    form = {"username": "default", "password": KEY}
    token = (await made.http.post("/api/v1/login", data=form, headers=SIGNED_OUT)).json()["access_token"]
    bearer = {**SIGNED_OUT, "authorization": f"Bearer {token}"}
    assert (await made.http.get("/api/v1/users/whoami", headers=bearer)).json()["username"] == "default"
    assert (await made.http.post("/api/v1/refresh", headers=bearer)).json()["access_token"] == token


@pytest.mark.parametrize("form", [("default", "guessed"), ("default", OTHER_KEY), ("nobody", KEY)])
async def test_a_wrong_name_or_password_is_refused_and_which_is_not_said(form: tuple[str, str]) -> None:
    data = dict(zip(("username", "password"), form, strict=True))
    response = await service().http.post("/api/v1/login", data=data)
    assert (response.status_code, response.json()["code"]) == (401, "wrong_password")


@pytest.mark.parametrize("data", [{}, {"username": "default"}, {"username": "", "password": ""}])
async def test_a_form_without_name_or_password_is_refused(data: dict[str, str]) -> None:
    assert (await service().http.post("/api/v1/login", data=data)).status_code == 422


async def test_components_are_told_the_id_of_whoami() -> None:
    made = service()
    request = await made.services.runs.prepare("default", await made.publish(ECHO), RunOrder())
    (step,) = request.plan.steps
    inputs = Inputs(upstream={}, files={}, states={}, blobs=())
    (said,) = run_frames(request, StartStep(step=step.id), Bodies().of(request, step.id), inputs, Limits())
    told = json.loads(said[said.index(b"{") :])
    assert told["run"]["user_id"] == (await made.http.get("/api/v1/users/whoami")).json()["id"]


async def test_a_session_says_who_asks_and_that_nobody_does() -> None:
    made = service()
    assert (await made.http.get("/api/v1/session")).json()["user"]["username"] == "default"
    signed_out = await made.http.get("/api/v1/session", headers=SIGNED_OUT)
    assert signed_out.json() == {"authenticated": False, "user": None, "store_api_key": None}


async def test_nobody_is_signed_in_unasked() -> None:
    assert (await service().http.get("/api/v1/auto_login")).status_code == 400


async def test_who_tries_too_many_passwords_is_told_to_wait() -> None:
    made = service()
    tried = [{"username": "default", "password": f"guess {number}"} for number in range(12)]
    answers = [await made.http.post("/api/v1/login", data=form, headers=SIGNED_OUT) for form in tried]
    assert [answers[0].status_code, answers[-1].status_code] == [401, 429]
    assert answers[-1].headers["retry-after"] == "1"
