"""The client's parts: frames, errors, answers."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowray.client import AsyncClient, Client
from flowray.client.calls import publish, run_body
from flowray.client.errors import error_of
from flowray.client.sse import Frame, frames
from flowray.engine.failures import ComponentFailedError
from flowray.engine.outcome import Answer
from flowray.errors import (
    FlowFormatError,
    FlowRayError,
    InvalidRequestError,
    NotFoundError,
    TweakRefusedError,
    UnauthorizedError,
)
from flowray_serve.problems import problem


def answered(error: FlowRayError) -> httpx.Response:
    sent = problem(error)
    return httpx.Response(sent.status_code, content=bytes(sent.body), request=httpx.Request("GET", "http://x.test"))


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no flow"),
        TweakRefusedError("no field"),
        ComponentFailedError("Node", "r1", {"node": "a", "traceback": "tb"}),
    ],
)
def test_an_error_survives_the_way_over_http(error: FlowRayError) -> None:
    back = error_of(answered(error))
    assert (type(back), str(back), back.code) == (type(error), str(error), error.code)
    assert vars(back) == vars(error)


def test_an_error_of_the_client_survives_pickle() -> None:
    back = pickle.loads(pickle.dumps(error_of(answered(ComponentFailedError("Node", "r1", {"node": "a"})))))  # noqa: S301
    assert (back.run, back.facts) == ("r1", {"node": "a"})


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b"{}", b'"x"', b"\xff"])
def test_an_answer_that_is_no_problem_document_is_shown(body: bytes) -> None:
    response = httpx.Response(502, content=body, request=httpx.Request("GET", "http://x.test"))
    assert "502" in str(error_of(response))


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_not_flowray_is_named_in_one_line(status: int) -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(status, content=b"<html>\n<body>Hello</body>\n</html>"))
    with Client("http://x.test", transport=page) as client, pytest.raises(FlowRayError) as refused:
        client.runs()

    assert str(refused.value).startswith("What answers at http://x.test/api/v1/runs")
    assert f"is not FlowRay: {status}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_code_of_a_later_version_is_still_an_error_with_its_words() -> None:
    body = json.dumps({"code": "from_the_future", "detail": "Something new."}).encode()
    response = httpx.Response(418, content=body, request=httpx.Request("GET", "http://x.test"))
    assert str(error_of(response)) == "Something new."


def test_frames_come_out_of_lines_and_comments_do_not() -> None:
    lines = [": keep-alive", "", "id: 1", "event: token", "data: a", "data: b", "", "data:c", "", "id: 9"]
    assert list(frames(lines)) == [Frame(id="1", event="token", data="a\nb"), Frame(id="", event="", data="c")]


def test_the_text_of_an_answer_is_its_first() -> None:
    results: list[dict[str, Any]] = [
        {"results": {}},
        {"results": {"message": {"text": "hi"}}},
        {"results": {"text": "later"}},
    ]
    assert Answer(run="r", session="s", results=results).text == "hi"
    assert Answer(run="r", session="s", results=[{"results": None}]).text is None


def test_publishing_the_same_file_twice_means_the_same_flow() -> None:
    document = {"name": "Echo", "data": {"nodes": [], "edges": []}}
    assert publish(document).path == publish(dict(document)).path
    assert publish({**document, "id": "abc"}).path == "/api/v1/flows/abc"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"missing\.json"):
        publish(tmp_path / "missing.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "\ufeff{"])
def test_a_file_that_is_no_flow_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(FlowFormatError, match=r"broken\.json"):
        publish(path)


def test_options_become_langflows_fields() -> None:
    assert run_body({"input_value": "hi", "session": "s", "variables": {"K": "v"}}) == {
        "input_value": "hi",
        "session_id": "s",
        "context": {"request_variables": {"K": "v"}},
    }


def test_an_error_that_only_the_service_has_keeps_its_code_and_its_kind() -> None:
    told = {"code": "version_not_found", "detail": "No.", "status": 404, "fault": "caller"}
    error = error_of(httpx.Response(404, json=told))
    assert isinstance(error, NotFoundError)
    assert (error.code, error.fault, error.status, error.message) == ("version_not_found", "caller", 404, "No.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"name": "x", "dependencies": {}}', "not a Langflow flow: it has no `nodes`"),
        ('{"flows": [1, 2]}', "a collection of 2 flows"),
        ("[1]", "an object"),
        ("{", "not JSON"),
        ('{"name": "x", "data": {"nodes": [], "size": NaN}}', "NaN"),
        ('{"name": "x", "data": null}', "`data`"),
    ],
)
def test_a_file_that_is_no_flow_is_named_with_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "package.json"
    file.write_text(content)

    with pytest.raises(FlowFormatError) as refused:
        publish(file)

    assert refused.value.message.startswith(f"{file}: ")
    assert said in refused.value.message


def test_bare_nodes_and_edges_are_a_flow_named_like_their_file(tmp_path: Path) -> None:
    file = tmp_path / "my-flow.json"
    file.write_text('{"nodes": [], "edges": []}')

    call = publish(file)

    assert call.json == {"name": "my-flow", "data": {"nodes": [], "edges": []}}


def test_bare_nodes_and_edges_keep_the_terms_beside_them() -> None:
    call = publish({"name": "x", "nodes": [], "edges": [], "flowray": {"run_wall_s": 60}})

    assert call.json == {"name": "x", "data": {"nodes": [], "edges": [], "flowray": {"run_wall_s": 60}}}


def test_a_document_without_a_name_is_asked_for_one() -> None:
    with pytest.raises(FlowFormatError, match="no `name`"):
        publish({"data": {"nodes": []}})


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8231", "write http://127.0.0.1:8231."),
        ("localhost:8231", "write http://localhost:8231."),
        ("foo", "write http://foo."),
        ("ftp://x", "write http://x."),
        ("", "write http://127.0.0.1:8000."),
        ("http://x:y", "Invalid port: 'y'."),
    ],
)
def test_a_url_that_is_none_is_refused_with_the_one_to_write(
    client: type[Client | AsyncClient], url: str, said: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        client(url)

    assert refused.value.message == f"`{url}` is not the URL of a service: {said}"


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("key", ["clé", "a\nb", " k"])
def test_a_key_that_cannot_be_sent_is_a_wrong_key(client: type[Client | AsyncClient], key: str) -> None:
    with pytest.raises(UnauthorizedError):
        client("http://flowray.test", key)
