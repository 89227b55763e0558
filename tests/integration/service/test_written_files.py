"""What a component writes to keep it outlives its sandbox: it is among the tenant's files."""

from __future__ import annotations

import copy

from tests.conformance.flows import flow, node, wire
from tests.kit.door import Door
from tests.kit.shipped import shipped


def test_a_written_file_is_among_the_tenants_own(door: Door) -> None:
    writing = copy.deepcopy(shipped("SaveToFile"))
    writing["template"]["file_name"]["value"] = "rivers"
    writing["template"]["local_format"]["value"] = "txt"
    drawn = flow("Writing", node("ChatInput-1"), node("SaveToFile-1", writing), node("ChatOutput-1"))
    drawn["data"]["edges"] = [
        wire("ChatInput-1", "SaveToFile-1", field="input"),
        wire("SaveToFile-1", "ChatOutput-1"),
    ]

    answer = door.run(door.publish(drawn), "Elbe and Oder")

    assert "saved successfully" in answer.text
    kept = [one for one in door.http.get("/api/v2/files").json() if one["name"] == "rivers"]
    assert door.http.get(f"/api/v2/files/{kept[-1]['id']}").content == b"Elbe and Oder"
