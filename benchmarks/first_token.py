"""How long after its provider's first token a flow's first token reaches the client: over v1, v2 and OpenAI's API.

Recipe:   .venv/bin/python benchmarks/first_token.py --runs 60

A provider on this machine answers a starter flow's model token by token, 100 ms after it was asked and then every
20 ms, and notes when it sent its first; the client is in the same process, so both read the same clock. The ways are
asked in turn. Results go to benchmarks/results/first_token.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.kit.server import serving  # noqa: E402
from tests.kit.service import running_service  # noqa: E402
from tests.kit.starters import model_tweaks, starters  # noqa: E402

FLOW = "Basic Prompting"
TOKENS = 20
FIRST_S, NEXT_S = 0.1, 0.02


class Provider:
    """Streams an answer, and notes when it sent its first token."""

    def __init__(self) -> None:
        self.first_at = 0.0
        self.app = Starlette(routes=[Route("/v1/chat/completions", self.complete, methods=["POST"])])

    async def complete(self, request: Request) -> StreamingResponse:
        """Answer a chat."""
        await request.body()
        return StreamingResponse(self._chunks(), media_type="text/event-stream")

    async def _chunks(self) -> AsyncIterator[str]:
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
        await asyncio.sleep(FIRST_S)
        for number in range(TOKENS):
            choice = {"index": 0, "delta": {"role": "assistant", "content": f"t{number} "}, "finish_reason": None}
            if number == 0:
                self.first_at = time.monotonic()
            yield f"data: {json.dumps(head | {'choices': [choice]})}\n\n"
            await asyncio.sleep(NEXT_S)
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield f"data: {json.dumps(head | {'choices': [end]})}\n\ndata: [DONE]\n\n"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "first_token.json")
    options = parser.parse_args()
    provider = Provider()
    with serving(provider.app) as url, running_service(url.removeprefix("http://")) as service:
        headers = {"x-api-key": service.key, **_variables(url)}
        with httpx.Client(base_url=service.url, headers=headers, timeout=60) as http:
            flow = _published(http)
            ways = {"v1": _v1(flow), "v2 langflow": _v2(flow), "v2 agui": _v2(flow, "agui"), "openai chat": _chat(flow)}
            waited: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(options.runs + 5):
                for name, (path, body) in ways.items():
                    after_s = _first_token(http, provider, path, body)
                    if number >= 5:
                        waited[name].append(after_s * 1000)
    _report(waited, options.out)


def _variables(url: str) -> dict[str, str]:
    prefix = "X-LANGFLOW-GLOBAL-VAR-"
    return {f"{prefix}OPENAI_API_KEY": "sk-test", f"{prefix}OPENAI_BASE_URL": f"{url}/v1"}


def _published(http: httpx.Client) -> str:
    flow = starters()[FLOW]
    tweaks = model_tweaks(flow)
    for node in flow["data"]["nodes"]:
        for name, value in tweaks.get(node["id"], {}).items():
            node["data"]["node"]["template"][name]["value"] = value
    answer = http.post("/api/v1/flows/", json={"name": FLOW, "data": flow["data"]})
    answer.raise_for_status()
    return str(answer.json()["id"])


def _v1(flow: str) -> tuple[str, dict[str, Any]]:
    return f"/api/v1/run/{flow}?stream=true", {"input_value": "hi"}


def _v2(flow: str, protocol: str = "langflow") -> tuple[str, dict[str, Any]]:
    body = {"flow_id": flow, "input_value": "hi", "mode": "stream", "stream_protocol": protocol}
    return "/api/v2/workflows", body


def _chat(flow: str) -> tuple[str, dict[str, Any]]:
    body = {"model": flow, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    return "/v1/chat/completions", body


def _first_token(http: httpx.Client, provider: Provider, path: str, body: dict[str, Any]) -> float:
    heard_at = 0.0
    with http.stream("POST", path, json=body) as response:
        for part in response.iter_raw():
            if not heard_at and b"t0 " in part:
                heard_at = time.monotonic()
    if not heard_at:
        raise SystemExit(f"{path} told no token.")
    return heard_at - provider.first_at


def _report(waited: dict[str, list[float]], out: Path) -> None:
    found = {
        name: {
            "p50_ms": round(statistics.median(times), 2),
            "p95_ms": round(statistics.quantiles(times, n=20)[-1], 2),
            "runs": len(times),
        }
        for name, times in waited.items()
    }
    out.write_text(json.dumps({"machine": platform.platform(), "first_token_after": found}, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
