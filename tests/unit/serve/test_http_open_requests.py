"""A tenant's open requests: as many as it may have in one gateway, and no more."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx

from flowray_serve.auth import OpenRequests
from tests.unit.serve.one_app import app_of
from tests.unit.serve.service import ECHO, KEY, OTHER_KEY, Held, service


async def test_a_stream_counts_for_as_long_as_it_is_open_and_for_its_own_tenant_only() -> None:
    made, held = service(), Held()
    flow = await made.publish(ECHO)
    made.steps.script = held
    gate = replace(made.services.gate, open_requests=OpenRequests(per_tenant=1))
    transport = httpx.ASGITransport(app=app_of(replace(made.services, gate=gate)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x", headers={"x-api-key": KEY}) as http:
        stream = asyncio.create_task(http.post(f"/api/v1/run/{flow}?stream=true", json={}))
        await held.began.wait()

        refused = await http.get("/api/v1/runs")
        others = await http.get("/api/v1/runs", headers={"x-api-key": OTHER_KEY})
        held.go_on.set()
        await stream

        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open")
        assert refused.headers["retry-after"] == "1"
        assert others.status_code == 200
        assert (await http.get("/api/v1/runs")).status_code == 200
