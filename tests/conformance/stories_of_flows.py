"""What is asked about flows, and what lies beside them: projects, files, the editor."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.flows import NOBODYS, echo
from tests.conformance.sides import SIGNED_OUT, Side
from tests.kit.shipped import shipped, source

CANVAS: dict[str, Any] = {"nodes": [], "edges": []}


def flows(ask: Side) -> None:
    created = ask("flow create", "POST", "/api/v1/flows/", json=echo("Told", description="Says it again"))
    flow = f"/api/v1/flows/{created.json()['id']}"
    ask("flow create of the same name", "POST", "/api/v1/flows/", json=echo("Told"))
    ask("flow create undrawn", "POST", "/api/v1/flows/", json={"name": "Undrawn"})
    ask("flow create without name", "POST", "/api/v1/flows/", json={})
    ask("flow create no json", "POST", "/api/v1/flows/", content=b"{", headers={"content-type": "application/json"})
    ask("flow create bad endpoint", "POST", "/api/v1/flows/", json=echo("Bad", endpoint_name="with space"))
    ask(
        "flow create bad nodes",
        "POST",
        "/api/v1/flows/",
        json={"name": "Bad nodes", "data": {"nodes": {}, "edges": []}},
    )
    ask("flow create endpoint", "POST", "/api/v1/flows/", json=echo("Named", endpoint_name="told-once"))
    ask("flow create endpoint again", "POST", "/api/v1/flows/", json=echo("Named twice", endpoint_name="told-once"))
    ask("flow read", "GET", flow)
    ask("flow read nobody's", "GET", f"/api/v1/flows/{NOBODYS}")
    ask("flow read no uuid", "GET", "/api/v1/flows/abc")
    seen = ask("flow version state", "GET", f"{flow}/version-state").json()["version_token"]
    ask("flow change", "PATCH", flow, json={"description": "New"})
    ask("flow change name taken", "PATCH", flow, json={"name": "Named"})
    ask("flow change endpoint taken", "PATCH", flow, json={"endpoint_name": "told-once"})
    ask("flow change bad token", "PATCH", flow, json={"description": "x"}, headers={"if-match": "nope"})
    ask("flow change seen", "PATCH", flow, json={"data": CANVAS}, headers={"if-match": seen})
    ask("flow change outdated", "PATCH", flow, json={"data": CANVAS}, headers={"if-match": seen})
    ask("flow change nobody's", "PATCH", f"/api/v1/flows/{NOBODYS}", json={"description": "x"})
    put = "/api/v1/flows/00000000-0000-4000-8000-000000000001"
    ask("flow put new", "PUT", put, json=echo("Put"))
    ask("flow put again", "PUT", put, json=echo("Put again"))
    ask("flow put no uuid", "PUT", "/api/v1/flows/abc", json=echo("Put"))
    ask("flow put endpoint taken", "PUT", put, json=echo("Put again", endpoint_name="told-once"))
    ask("flow put new of a name taken", "PUT", put[:-1] + "2", json=echo("Named"))
    ask("flow delete", "DELETE", flow)
    ask("flow delete again", "DELETE", flow)
    ask("flow list without key", "GET", "/api/v1/flows/", headers=SIGNED_OUT)


def lists(ask: Side) -> None:
    project = ask.made("/api/v1/projects/", json={"name": "Listed"})["id"]
    for name in ("Listed one", "Listed two"):
        ask.made("/api/v1/flows/", json=echo(name, folder_id=project))
    inside = f"/api/v1/flows/?folder_id={project}"
    ask("list page", "GET", f"{inside}&get_all=false&page=2&size=1")
    ask("list page of headers", "GET", f"{inside}&get_all=false&header_flows=true")
    ask("list page that is empty", "GET", f"{inside}&get_all=false&page=9")
    ask("list components", "GET", "/api/v1/flows/?components_only=true&get_all=true")
    ask("list bad size", "GET", f"{inside}&get_all=false&size=0")
    ask("list examples", "GET", "/api/v1/flows/basic_examples/")
    ask("list starters", "GET", "/api/v1/starter-projects/")


def bulk(ask: Side) -> None:
    made = ask("bulk create", "POST", "/api/v1/flows/batch/", json={"flows": [echo("First"), echo("Second")]}).json()
    ids = [flow["id"] for flow in made]
    ask("bulk create ids taken", "POST", "/api/v1/flows/batch/", json={"flows": [echo("Third", id=ids[0])]})
    ask("bulk create nothing", "POST", "/api/v1/flows/batch/", json={})
    ask("bulk download one", "POST", "/api/v1/flows/download/", json=ids[:1])
    ask("bulk download all", "POST", "/api/v1/flows/download/", json=ids)
    ask("bulk download nobody's", "POST", "/api/v1/flows/download/", json=[NOBODYS])
    for name, content in (
        ("one", json.dumps(echo("Uploaded"))),
        ("several", json.dumps({"flows": [echo("Uploaded 2"), echo("Uploaded 3")]})),
        ("an id there", json.dumps(echo("Uploaded again", id=ids[0]))),
        ("no json", "{"),
        ("a list", "[1]"),
        ("no list", '{"flows": 1}'),
        ("empty", ""),
    ):
        ask(f"bulk upload {name}", "POST", "/api/v1/flows/upload/", files={"file": ("flows.json", content)})
    ask("bulk upload no file", "POST", "/api/v1/flows/upload/")
    ask("bulk delete", "DELETE", "/api/v1/flows/", json=ids)
    ask("bulk delete none", "DELETE", "/api/v1/flows/", json=[])
    ask("bulk delete no list", "DELETE", "/api/v1/flows/", json={"flow_ids": []})


def projects(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Filed"))["id"]
    fields = {"name": "Rivers", "description": "All of them", "flows_list": [flow], "components_list": []}
    project = ask("project create", "POST", "/api/v1/projects/", json=fields).json()["id"]
    path = f"/api/v1/projects/{project}"
    ask("project create same name", "POST", "/api/v1/projects/", json={"name": "Rivers"})
    ask("project create without name", "POST", "/api/v1/projects/", json={})
    ask("project read", "GET", path)
    ask("project read page", "GET", f"{path}?page=1&size=1")
    ask("project read nobody's", "GET", f"/api/v1/projects/{NOBODYS}")
    ask("project read no uuid", "GET", "/api/v1/projects/abc")
    ask("project change", "PATCH", path, json={"name": "Streams", "description": "Smaller"})
    ask("project change name taken", "PATCH", path, json={"name": "Rivers (1)"})
    ask("project change nobody's", "PATCH", f"/api/v1/projects/{NOBODYS}", json={"name": "x"})
    packed = ask("project download", "GET", f"/api/v1/projects/download/{project}").content
    ask("project download nobody's", "GET", f"/api/v1/projects/download/{NOBODYS}")
    ask("project delete", "DELETE", path)
    ask("project delete again", "DELETE", path)
    upload = "/api/v1/projects/upload/"
    ask("project upload zip", "POST", upload, files={"file": ("Streams.zip", packed, "application/zip")})
    ask("project upload ids there", "POST", upload, files={"file": ("Streams.zip", packed, "application/zip")})
    document = {"folder_name": "Lakes", "folder_description": "", "flows": [echo("Lake")]}
    ask("project upload json", "POST", upload, files={"file": ("lakes.json", json.dumps(document))})
    ask("project upload junk", "POST", upload, files={"file": ("lakes.zip", b"junk")})
    octets = {"content-type": "application/octet-stream"}
    ask("project upload as the sdk does", "POST", upload, content=packed, headers=octets)
    ask("project folders", "GET", "/api/v1/folders/")


def files(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Reading"))["id"]
    base = "/api/v1/files"
    text = ask("file upload", "POST", f"{base}/upload/{flow}", files={"file": ("notes.txt", b"hello")}).json()
    name = text["file_path"].partition("/")[2]
    image = ask.made(f"{base}/upload/{flow}", files={"file": ("dot.png", b"\x89PNG\r\n\x1a\n")})
    ask("file upload nobody's", "POST", f"{base}/upload/{NOBODYS}", files={"file": ("notes.txt", b"hello")})
    ask("file upload nothing", "POST", f"{base}/upload/{flow}")
    ask("file list", "GET", f"{base}/list/{flow}")
    ask("file list nobody's", "GET", f"{base}/list/{NOBODYS}")
    ask("file download", "GET", f"{base}/download/{flow}/{name}")
    ask("file download none", "GET", f"{base}/download/{flow}/none.txt")
    ask("file image", "GET", f"{base}/images/{image['file_path']}")
    ask("file image of a text", "GET", f"{base}/images/{flow}/{name}")
    ask("file delete", "DELETE", f"{base}/delete/{flow}/{name}")
    ask("file delete again", "DELETE", f"{base}/delete/{flow}/{name}")


def own_files(ask: Side) -> None:
    base = "/api/v2/files"
    first = ask("own file upload", "POST", base, files={"file": ("river.txt", b"Elbe")}).json()
    second = ask("own file upload again", "POST", base, files={"file": ("river.txt", b"Oder")}).json()
    file = f"{base}/{first['id']}"
    ask("own file list", "GET", base)
    ask("own file list with a slash", "GET", f"{base}/")
    ask("own file download", "GET", file)
    ask("own file rename", "PUT", f"{file}?name=renamed")
    ask("own file download nobody's", "GET", f"{base}/{NOBODYS}")
    ask("own file download no uuid", "GET", f"{base}/abc")
    ask("own file batch", "POST", f"{base}/batch/", json=[first["id"], second["id"]])
    ask("own file batch of none", "POST", f"{base}/batch/", json=[])
    ask("own file delete", "DELETE", file)
    ask("own file delete again", "DELETE", file)
    ask("own file delete batch", "DELETE", f"{base}/batch/", json=[second["id"]])
    ask("own file delete all", "DELETE", base)
    ask("own file upload nothing", "POST", base)


def editing(ask: Side) -> None:
    for name, code in (
        ("fine", "import os\n\ndef f():\n    pass\n"),
        ("no syntax", "def f(:"),
        ("no module", "import nothere"),
    ):
        ask(f"validate code {name}", "POST", "/api/v1/validate/code", json={"code": code})
    ask("validate no code", "POST", "/api/v1/validate/code", json={})
    prompt = {"name": "template", "template": "Hi {who} from {where}"}
    ask(
        "validate prompt",
        "POST",
        "/api/v1/validate/prompt",
        json={**prompt, "frontend_node": shipped("Prompt Template")},
    )
    ask("validate prompt without node", "POST", "/api/v1/validate/prompt", json=prompt)
    own = "/api/v1/custom_component"
    ask("component", "POST", own, json={"code": source("ChatInput")})
    ask("component no component", "POST", own, json={"code": "class X: pass"})
    ask("component no syntax", "POST", own, json={"code": "("})
    ask("component nothing", "POST", own, json={})
    change = {"field": "sender", "field_value": "User", "template": shipped("ChatInput")["template"]}
    ask("component update", "POST", f"{own}/update", json={"code": source("ChatInput"), **change})
    ask("component update no syntax", "POST", f"{own}/update", json={"code": "(", **change})


def catalogue(ask: Side) -> None:
    ask("all components", "GET", "/api/v1/all")
