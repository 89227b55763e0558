"""`flowray pull`, `push`, `diff`, `versions` and `migrate` against a service over a real connection."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flowray.client import Client, version_calls
from flowray.component.index import find_index
from flowray.errors import InvalidRequestError
from flowray_serve.cli.main import app
from flowray_serve.routes.application import build_app
from tests.kit.server import serving
from tests.unit.serve.service import ECHO, KEY, canvas, drawn, service

FLOW_ID = "33333333-3333-4333-8333-333333333333"
SECRET = {"type": "str", "password": True, "value": "hunter2", "name": "api_key"}


@pytest.fixture
def url() -> Iterator[str]:
    with serving(build_app(service().services)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, KEY) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "flows"


@pytest.fixture(autouse=True)
def environment(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLOWRAY_URL", url)
    monkeypatch.setenv("FLOWRAY_KEY", KEY)
    monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "home"))


def flowray(*words: Any) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def told(*words: Any) -> Any:
    result = flowray(*words, "--json")
    return json.loads(result.stdout)


def saying(value: str, **top: Any) -> dict[str, Any]:
    flow = copy.deepcopy(ECHO) | {"id": FLOW_ID, "endpoint_name": "echo"} | top
    flow["data"]["nodes"][0]["data"]["node"]["template"]["input_value"]["value"] = value
    return flow


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def edit(folder: Path, old: str, new: str) -> None:
    (path,) = folder.glob("*.flow.yaml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_pull_then_push_changes_nothing(client: Client, folder: Path) -> None:
    before = client.publish(saying("one"))
    assert flowray("pull", folder).exit_code == 0
    assert [(one["name"], one["done"]) for one in told("push", folder)] == [("Echo", "same")]
    assert flowray("diff", folder).exit_code == 0
    assert client.flow("echo").updated_at == before.updated_at
    first = texts(folder)
    flowray("pull", folder)
    assert texts(folder) == first
    assert {name.partition("/")[0] for name in first} == {"echo.flow.yaml", "components", "flowray.lock"}


def test_a_push_publishes_only_what_changed(client: Client, folder: Path) -> None:
    client.publish(saying("one"))
    other = client.publish({**canvas(drawn("ChatInput-9")), "name": "Other"})
    flowray("pull", folder, "--flow", "echo")
    edit(folder, "input_value: one", "input_value: two")
    dry = told("push", folder, "--dry-run")
    assert client.ask(version_calls.differences("echo", "v1", "latest"))["same"]
    done = {one["name"]: one for one in told("push", folder)}
    assert (done["Echo"]["done"], done["Other"]["done"]) == ("updated", "only there")
    assert dry[0]["changes"] == done["Echo"]["changes"]
    assert done["Echo"]["changes"]["nodes"][0]["changes"] == [{"what": "input_value", "before": "one", "after": "two"}]
    found = client.ask(version_calls.differences("echo", "v1", "latest"))
    assert [node["node"] for node in found["nodes"]] == ["ChatInput-1"]
    assert client.flow(other.id).updated_at == other.updated_at
    assert told("diff", folder, "--flow", "echo")[0]["standing"] == "same"


def test_what_others_published_meanwhile_is_not_written_over(client: Client, folder: Path) -> None:
    client.publish(saying("one"))
    flowray("pull", folder)
    client.publish(saying("theirs"))
    edit(folder, "input_value: one", "input_value: mine")
    refused = flowray("push", folder)
    assert (refused.exit_code, "Nothing was published" in refused.stdout) == (1, True)
    assert flowray("pull", folder).exit_code == 1
    assert "input_value: mine" in texts(folder)["echo.flow.yaml"]
    both = told("diff", folder)[0]
    assert (both["standing"], "push" in both, "pull" in both) == ("apart", True, True)
    assert flowray("push", folder, "--force").exit_code == 0
    assert (
        client.ask(version_calls.document("echo"))["data"]["nodes"][0]["data"]["node"]["template"]["input_value"][
            "value"
        ]
        == "mine"
    )


def test_what_is_published_while_a_push_is_under_way_is_not_written_over(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.publish(saying("one"))
    flowray("pull", folder)
    edit(folder, "input_value: one", "input_value: mine")
    put = version_calls.put

    def late(flow_id: str, fields: Any, *, token: str | None = None) -> Any:
        client.publish(saying("theirs"))
        return put(flow_id, fields, token=token)

    monkeypatch.setattr(version_calls, "put", late)
    refused = flowray("push", folder)
    assert (refused.exit_code, "by somebody else just now" in str(refused.exception)) == (1, True)
    assert client.ask(version_calls.differences("echo", "v2", "latest"))["same"]


def test_what_changed_only_on_the_service_is_pulled(client: Client, folder: Path) -> None:
    client.publish(saying("one"))
    flowray("pull", folder)
    client.publish(saying("two"))
    assert told("diff", folder)[0]["standing"] == "behind"
    assert [one["done"] for one in told("push", folder)] == ["behind"]
    assert [one["done"] for one in told("pull", folder)] == ["updated"]
    assert "input_value: two" in texts(folder)["echo.flow.yaml"]


def test_what_changed_only_here_is_kept_by_a_pull(client: Client, folder: Path) -> None:
    client.publish(saying("one"))
    flowray("pull", folder)
    edit(folder, "input_value: one", "input_value: mine")
    assert [one["done"] for one in told("pull", folder)] == ["kept"]
    assert "input_value: mine" in texts(folder)["echo.flow.yaml"]


def test_secrets_stay_where_they_are(client: Client, folder: Path) -> None:
    client.publish({**canvas(drawn("ChatInput-1", api_key=SECRET)), "id": FLOW_ID})
    flowray("pull", folder)
    assert "hunter2" not in "".join(texts(folder).values())
    edit(folder, "name: ChatInput", "name: Asks")
    pushed = flowray("push", folder)
    assert (pushed.exit_code, "hunter2" in pushed.stdout) == (0, False)
    node = client.ask(version_calls.document(FLOW_ID))["data"]["nodes"][0]["data"]["node"]
    assert (node["display_name"], node["template"]["api_key"]["value"]) == ("Asks", "hunter2")


def test_source_is_reviewed_in_a_file_of_its_own(client: Client, folder: Path) -> None:
    client.publish(saying("one"))
    flowray("pull", folder)
    (source,) = (folder / "components").glob("ChatInput-*.py")
    source.write_text("class ChatInput: 'changed'")
    changed = told("push", folder)[0]["changes"]["nodes"]
    assert [(one["node"], one["changes"]) for one in changed] == [("ChatInput-1", [])]
    assert changed[0]["source"][0] != changed[0]["source"][1]
    assert [path.read_text() for path in (folder / "components").glob("ChatInput-*.py")] == [
        "class ChatInput: 'changed'"
    ]


def test_a_plain_export_is_pushed(client: Client, folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.json").write_text(json.dumps({**saying("one"), "name": "Mine"}))
    (folder / "package.json").write_text('{"name": "something else"}')
    assert [one["done"] for one in told("push", folder)] == ["created"]
    assert [one["done"] for one in told("push", folder)] == ["same"]
    client.publish({**saying("two"), "name": "Mine"})
    assert [one["done"] for one in told("pull", folder)] == ["updated"]
    assert sorted(texts(folder)) == ["flowray.lock", "mine.json", "package.json"]
    assert '"value": "two"' in texts(folder)["mine.json"]


def test_a_plain_export_without_its_secrets_keeps_those_of_the_service(client: Client, folder: Path) -> None:
    client.publish({**canvas(drawn("ChatInput-1", api_key=SECRET)), "id": FLOW_ID})
    folder.mkdir()
    assert flowray("versions", "export", FLOW_ID, "--out", folder / "mine.json").exit_code == 0
    assert "hunter2" not in (folder / "mine.json").read_text()
    assert [one["standing"] for one in told("diff", folder)] == ["same"]


@pytest.mark.parametrize("words", [("push", "nowhere"), ("pull", ".", "--flow", "nobody")])
def test_what_is_not_there_is_named(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = flowray(*words)
    assert (refused.exit_code, words[-1] in str(refused.exception)) == (1, True)


def test_versions_on_the_command_line(client: Client) -> None:
    client.publish(saying("one"))
    client.publish(saying("two"))
    assert flowray("versions", "tag", "echo", "prod", "v1").exit_code == 0
    listed = told("versions", "list", "echo")
    assert [(one["version_tag"], one["tags"]) for one in listed] == [("v2", []), ("v1", ["prod"])]
    assert 'input_value: "one" -> "two"' in flowray("versions", "diff", "echo", "prod").stdout
    assert told("versions", "rollback", "echo", "prod")["version_tag"] == "v3"
    assert flowray("versions", "diff", "echo", "v1").stdout.startswith("No difference")
    exported = [json.loads(flowray("versions", "export", *named).stdout) for named in (("echo", "v2"), ("echo@v2",))]
    assert exported[0] == exported[1] != json.loads(flowray("versions", "export", "echo").stdout)
    assert isinstance(flowray("versions", "export", "echo@v2", "v1").exception, InvalidRequestError)
    assert flowray("versions", "tag", "echo", "prod", "--remove").exit_code == 0
    assert flowray("versions", "forget", "echo", "v2").exit_code == 0
    assert [one["version_tag"] for one in told("versions", "list", "echo")] == ["v3", "v1"]
    assert flowray("run", "echo@v1", "input_value=said").stdout == "said\n"


def release(tmp_path: Path) -> Path:
    """An index in which the Chat Input of these tests has other source and a new field."""
    node = drawn("ChatInput-1", code="class ChatInput: 'new'", added={"type": "int", "value": 3})["data"]["node"]
    path = tmp_path / "component_index.json"
    path.write_text(json.dumps({"version": "9.9", "entries": [["inputs", {"ChatInput": node}]]}))
    return path


def test_a_migration_is_shown_then_published(client: Client, tmp_path: Path) -> None:
    client.publish(saying("one"))
    said = told("migrate", "echo", "--to", release(tmp_path))
    assert [(one["node"], one["verdict"], one["adds"]) for one in said["nodes"]] == [
        ("ChatInput-1", "safe", ["added"]),
        ("ChatOutput-1", "unknown", []),
    ]
    assert len(told("versions", "list", "echo")) == 1
    published = flowray("migrate", "echo", "--to", release(tmp_path), "--publish")
    newest, _ = told("versions", "list", "echo")
    assert published.stdout.endswith(f"\necho is now version {newest['version'][:12]}.\n")
    again = told("migrate", "echo", "--to", release(tmp_path))
    assert [one["verdict"] for one in again["nodes"]] == ["same", "unknown"]
    nothing = flowray("migrate", "echo", "--to", release(tmp_path), "--publish")
    assert nothing.stdout.endswith("\nNothing changed: not published.\n")


def test_a_file_is_migrated_into_a_file(tmp_path: Path) -> None:
    path, out = tmp_path / "flow.json", tmp_path / "new.json"
    path.write_text(json.dumps(saying("one")))
    result = flowray("migrate", path, "--to", release(tmp_path), "--out", out)
    assert (result.exit_code, "Nodes that change: 1; that stay behind: 1" in result.stdout) == (0, True)
    assert result.stdout.endswith(f"\nWritten to {out}.\n")
    code = json.loads(out.read_text())["data"]["nodes"][0]["data"]["node"]["template"]["code"]["value"]
    assert code == "class ChatInput: 'new'"


def test_the_installed_release_is_what_is_meant_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(saying("one")))
    assert told("migrate", path)["to"] == json.loads(find_index().read_bytes())["version"]


def test_a_release_that_is_not_here_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(saying("one")))
    refused = flowray("migrate", path, "--to", "0.1")
    assert "there are: " in str(refused.exception)


def test_an_export_that_cannot_be_written_says_where(client: Client, tmp_path: Path) -> None:
    client.publish(saying("hi"))

    refused = flowray("versions", "export", "echo", "--out", tmp_path).exception

    assert isinstance(refused, InvalidRequestError)
    assert refused.message == f"Cannot write {tmp_path}: Is a directory."
