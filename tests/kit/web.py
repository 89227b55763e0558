"""A small web: a page with links, a feed, papers the way arXiv answers, and a webhook that keeps what it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.kit.server import HOST, serving

PAPERS = ("On rivers", "On bridges", "On the ferries between")
ANSWER = "6*7"


@dataclass
class Web:
    """The web as a test sees it: where it is, what was read, and what its webhook was told, with the headers."""

    url: str = ""
    reads: list[str] = field(default_factory=list)
    told: list[tuple[dict[str, Any], Mapping[str, str]]] = field(default_factory=list)

    @property
    def host(self) -> str:
        """`host:port`, as an egress allow-list names it."""
        return self.url.removeprefix("http://")

    @property
    def arguments(self) -> Mapping[str, Mapping[str, Any]]:
        """What a model has to call the starters' tools with, so that they read this web and no other."""
        feed = {"search_mode": "RSS", "query": f"{self.url}/feed"}
        return {
            "fetch_content": {"urls": [f"{self.url}/page"]},
            "perform_search": feed,
            "run_sql_query": {"query": f"select {ANSWER} as answer"},
            "evaluate_expression": {"expression": ANSWER},
        }


@contextmanager
def running_web(*, host: str = HOST, port: int = 0) -> Iterator[Web]:
    """The web on a thread of its own."""
    web = Web()
    with serving(_application(web), host=host, port=port) as url:
        web.url = url
        yield web


def at_this_web(web: Web) -> dict[str, str]:
    """The changes of the arXiv component's source that make it ask `web`."""
    name = web.host.partition(":")[0]
    return {"http://export.arxiv.org": web.url, '"export.arxiv.org"': f'"{name}"'}


def _application(web: Web) -> Starlette:
    def read(request: Request) -> None:
        web.reads.append(request.url.path)

    async def page(request: Request) -> Response:
        read(request)
        return HTMLResponse(
            "<html lang='en'><head><title>Rivers</title></head>"
            "<body><h1>Rivers</h1><p>The Elbe is 1094 km long.</p><a href='/more'>more</a></body></html>"
        )

    async def feed(request: Request) -> Response:
        read(request)
        items = "".join(
            f"<item><title>{title}</title><link>{web.url}/page</link>"
            f"<pubDate>Thu, 01 Jan 2026 00:00:00 GMT</pubDate><description>{title}, in short</description></item>"
            for title in PAPERS
        )
        return Response(f"<rss version='2.0'><channel>{items}</channel></rss>", media_type="application/rss+xml")

    async def papers(request: Request) -> Response:
        read(request)
        wanted = int(request.query_params.get("max_results", "10"))
        entries = "".join(_entry(title, web.url) for title in PAPERS[:wanted])
        feed = f"<feed xmlns='http://www.w3.org/2005/Atom'>{entries}</feed>"
        return Response(feed, media_type="application/atom+xml")

    async def hear(request: Request) -> Response:
        web.told.append((await request.json(), request.headers))
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/told", hear, methods=["POST"]),
            Route("/page", page),
            Route("/more", page),
            Route("/feed", feed),
            Route("/api/query", papers),
        ]
    )


def _entry(title: str, url: str) -> str:
    identity = f"{url}/abs/{quote(title)}"
    return (
        f"<entry><id>{identity}</id><title>{title}</title><summary>{title}: a summary.</summary>"
        "<published>2026-01-01T00:00:00Z</published><updated>2026-01-01T00:00:00Z</updated>"
        f"<author><name>A. Writer</name></author><link rel='alternate' href='{identity}'/></entry>"
    )
