"""The service as its callers see it: plain HTTP, none of FlowRay's own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx


class Refused(RuntimeError):  # noqa: N818  # not every refusal is an error of the service
    """The service answered with a problem document."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.problem: dict[str, Any] = response.json()
        super().__init__(f"{self.status} {self.problem.get('code')}: {self.problem.get('detail')}")


@dataclass(frozen=True)
class Answered:
    """What a run answered: its id, and the texts of its output nodes."""

    run: str
    texts: Mapping[str, str]

    @property
    def text(self) -> str:
        """The one text of a flow with one output."""
        (only,) = self.texts.values()
        return only


class Door:
    """One tenant's way in."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def expand(self, spec: str) -> dict[str, Any]:
        """The flow that a compact spec describes."""
        flow: dict[str, Any] = self._read(self.http.post("/api/v1/flows/expand/", json={"spec": spec}))
        return flow

    def publish(self, flow: Mapping[str, Any]) -> str:
        """Publish a flow under an id of its own; gives that id."""
        body = {name: flow.get(name) for name in ("name", "description", "data")}
        created: dict[str, Any] = self._read(self.http.post("/api/v1/flows/", json=body))
        return str(created["id"])

    def run(
        self,
        flow_id: str,
        input_value: str | None = None,
        *,
        tweaks: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Answered:
        """Run a published flow to its end."""
        body = run_body(input_value, tweaks=tweaks, variables=variables)
        response = self.http.post(f"/api/v1/run/{flow_id}", json=body)
        results = [result for block in self._read(response)["outputs"] for result in block["outputs"]]
        texts = {result["component_id"]: _text(result["results"]) for result in results if result}
        return Answered(run=response.headers["x-flowray-run"], texts=texts)

    def timeline(self, run: str) -> list[dict[str, Any]]:
        """What is known of each node of a run: its status, its runner, its times."""
        nodes: list[dict[str, Any]] = self._read(self.http.get(f"/api/v1/runs/{run}"))["nodes"]
        return nodes

    def statuses(self, run: str) -> dict[str, str]:
        """What became of each node of a run."""
        return {node["node"]: node["status"] for node in self.timeline(run)}

    def upload(self, flow_id: str, name: str, content: bytes) -> str:
        """Store a file for a flow; gives the path to put into its file field."""
        stored = self._read(self.http.post(f"/api/v1/files/upload/{flow_id}", files={"file": (name, content)}))
        return str(stored["file_path"])

    def _read(self, response: httpx.Response) -> Any:
        if not response.is_success:
            raise Refused(response)
        return response.json()


def run_body(
    input_value: str | None = None,
    *,
    tweaks: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The body of a run request."""
    body: dict[str, Any] = {"tweaks": tweaks or {}, "context": {"request_variables": variables or {}}}
    return body if input_value is None else body | {"input_value": input_value}


def _text(results: Any) -> str:
    message = results.get("message") if isinstance(results, dict) else results
    return str(message.get("text") if isinstance(message, dict) else message)
