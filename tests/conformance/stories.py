"""What is asked of both servers: every request has a name, by which the table of differences knows it."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.flows import NOBODYS, echo, failing, shipped, source, waiting
from tests.conformance.sides import Side

SIGNED_OUT = {"x-api-key": ""}
CANVAS: dict[str, Any] = {"nodes": [], "edges": []}
BAD_CANVAS: dict[str, Any] = {"nodes": {}, "edges": []}


def about(ask: Side) -> None:
    for path in ("/health", "/health_check", "/healthz", "/api/v1/version", "/api/v1/config"):
        ask(f"about {path}", "GET", path)
    ask("about nothing", "GET", "/api/v1/nothing")
    ask("about wrong method", "POST", "/api/v1/version")


def session(ask: Side) -> None:
    name, password = ask.signs_in
    form = {"username": name, "password": password}
    token = ask("session login", "POST", "/api/v1/login", data=form, headers=SIGNED_OUT).json()["access_token"]
    ask.http.cookies.clear()
    bearer = {**SIGNED_OUT, "authorization": f"Bearer {token}"}
    ask("session wrong password", "POST", "/api/v1/login", data={**form, "password": "x"}, headers=SIGNED_OUT)
    ask("session no form", "POST", "/api/v1/login", json={"a": 1}, headers=SIGNED_OUT)
    ask("session of a bearer", "GET", "/api/v1/session", headers=bearer)
    ask("session of nobody", "GET", "/api/v1/session", headers=SIGNED_OUT)
    ask("session whoami", "GET", "/api/v1/users/whoami", headers=bearer)
    ask("session whoami by key", "GET", "/api/v1/users/whoami")
    ask("session whoami of nobody", "GET", "/api/v1/users/whoami", headers=SIGNED_OUT)
    ask("session whoami with a wrong key", "GET", "/api/v1/users/whoami", headers={"x-api-key": "wrong"})
    ask("session auto login", "GET", "/api/v1/auto_login", headers=SIGNED_OUT)
    ask.http.cookies.clear()
    ask("session refresh of nobody", "POST", "/api/v1/refresh", headers=SIGNED_OUT)
    ask("session logout", "POST", "/api/v1/logout", headers=bearer)


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


def runs(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Running", endpoint_name="running"))["id"]
    path = "/api/v1/run/running"
    ask("run", "POST", f"/api/v1/run/{flow}", json={"input_value": "hi"})
    ask("run by name in a session", "POST", path, json={"input_value": "hi", "session_id": "one"})
    ask("run embedded", "POST", path, json={"input_request": {"input_value": "hi"}, "context": {"a": 1}})
    tweaks = {"ChatInput-1": {"sender_name": "Bob"}}
    form = {"input_value": (None, "hi"), "tweaks": (None, json.dumps(tweaks))}
    ask("run multipart", "POST", path, files=form)
    ask("run form", "POST", path, data={"input_value": "hi"})
    ask("run nothing", "POST", path)
    ask("run no json", "POST", path, content=b"{nope", headers={"content-type": "application/json"})
    for name, fields in (
        ("one output", {"output_component": "ChatOutput-1"}),
        ("an output by name", {"output_component": "Chat Output"}),
        ("no such output", {"output_component": "nope"}),
        ("all outputs", {"output_type": "debug"}),
        ("text outputs", {"output_type": "text"}),
        ("any output", {"output_type": "any"}),
        ("text input", {"input_type": "text"}),
        ("bad type", {"output_type": "bad"}),
        ("tweaked", {"tweaks": tweaks}),
        ("tweaked by name", {"tweaks": {"Chat Input": {"sender_name": "Bob"}}}),
        ("tweaked everywhere", {"tweaks": {"sender_name": "Bob"}}),
        ("tweaked twice", {"tweaks": {"ChatInput-1": {"input_value": "x"}}}),
        ("tweaked code", {"tweaks": {"ChatInput-1": {"code": "x"}}}),
        ("tweaked nobody", {"tweaks": {"Nope-1": {"a": "x"}}}),
    ):
        ask(f"run {name}", "POST", path, json={"input_value": "hi", **fields})
    ask("run nobody's", "POST", f"/api/v1/run/{NOBODYS}", json={})
    ask("run unknown name", "POST", "/api/v1/run/nope", json={})
    ask("run without key", "POST", path, json={}, headers=SIGNED_OUT)
    ask("run in a browser's session", "POST", f"/api/v1/run/session/{flow}", json={"input_value": "hi"})
    failed = ask.made("/api/v1/flows/", json=failing("Failing"))["id"]
    ask("run that fails", "POST", f"/api/v1/run/{failed}", json={"input_value": "hi"})
    ask("run streamed by its body", "POST", path, json={"input_value": "hi", "stream": True})
    ask("stream", "POST", f"{path}?stream=true", json={"input_value": "hi"})
    ask("stream that fails", "POST", f"/api/v1/run/{failed}?stream=true", json={"input_value": "hi"})


def advanced(ask: Side) -> None:
    ask.made("/api/v1/flows/", json=echo("Advanced", endpoint_name="advanced"))
    path = "/api/v1/run/advanced/advanced"
    one = {"components": ["ChatInput-1"], "input_value": "hi"}
    ask("advanced", "POST", path, json={"inputs": [one], "outputs": ["ChatOutput-1"], "tweaks": {}, "stream": False})
    ask("advanced nothing", "POST", path, json={})
    ask("advanced several", "POST", path, json={"inputs": [{"input_value": "a"}, {"input_value": "b"}]})
    ask("advanced all outputs", "POST", path, json={"inputs": [one], "outputs": ["Chat Input", "ChatOutput-1"]})
    ask("advanced unknown session", "POST", path, json={"inputs": [one], "session_id": "nope"})
    ask("advanced unknown name", "POST", "/api/v1/run/advanced/nope", json={})


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


def monitor(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Watched", endpoint_name="watched"))["id"]
    run = {"input_value": "hi", "session_id": "watched"}
    ask.made("/api/v1/run/watched", json=run)
    base, of = "/api/v1/monitor", f"flow_id={flow}"
    # Langflow writes what it monitors after it has answered.
    ask.until(lambda: ask.http.get(f"{base}/traces?{of}").json()["total"])
    ask.until(lambda: len(ask.http.get(f"{base}/transactions?{of}").json()["items"]) == len(("in", "out")))
    ask.until(lambda: len(ask.http.get(f"{base}/builds?{of}").json()["vertex_builds"]) == len(("in", "out")))
    ask("monitor builds", "GET", f"{base}/builds?{of}")
    ask("monitor builds of nobody's", "GET", f"{base}/builds?flow_id={NOBODYS}")
    ask("monitor builds of no flow", "GET", f"{base}/builds")
    ask("monitor transactions", "GET", f"{base}/transactions?{of}")
    ask("monitor transactions of no flow", "GET", f"{base}/transactions")
    traces = ask("monitor traces", "GET", f"{base}/traces?{of}").json()["traces"]
    ask("monitor trace", "GET", f"{base}/traces/{traces[0]['id']}")
    ask("monitor trace of nobody's", "GET", f"{base}/traces/{NOBODYS}")
    ask("monitor job queue", "GET", f"{base}/job_queue")


def messages(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Chatting", endpoint_name="chatting"))["id"]
    for session in ("first", "second"):
        ask.made("/api/v1/run/chatting", json={"input_value": "hi", "session_id": session})
    base, of = "/api/v1/monitor/messages", f"flow_id={flow}"
    ask.until(lambda: len(ask.http.get(f"{base}?{of}").json()) == 2 * len(("in", "out")))
    ask("messages", "GET", f"{base}?{of}")
    ask("messages of a session", "GET", f"{base}?{of}&session_id=first&order=desc")
    ask("messages of a sender", "GET", f"{base}?{of}&sender=User&limit=1")
    ask("messages of no uuid", "GET", f"{base}?flow_id=abc")
    ask("messages of nobody's", "GET", f"{base}?flow_id={NOBODYS}")
    ask("messages badly ordered", "GET", f"{base}?{of}&order_by=nope")
    ask("messages sessions", "GET", f"{base}/sessions?{of}")
    message = ask.http.get(f"{base}?{of}&session_id=first").json()[0]["id"]
    ask("messages change", "PUT", f"{base}/{message}", json={"text": "edited"})
    ask("messages change nobody's", "PUT", f"{base}/{NOBODYS}", json={"text": "edited"})
    ask("messages rename session", "PATCH", f"{base}/session/first?new_session_id=renamed")
    ask("messages rename no session", "PATCH", f"{base}/session/first?new_session_id=renamed")
    ask("messages delete", "DELETE", base, json=[message])
    ask("messages delete session", "DELETE", f"{base}/session/renamed")
    ask("messages delete no session", "DELETE", f"{base}/session/renamed")
    ask("messages delete sessions", "DELETE", f"{base}/sessions", json=["second"])
    ask("messages none left", "GET", f"{base}?{of}")


def keys(ask: Side) -> None:
    path = "/api/v1/api_key/"
    made = ask("key create", "POST", path, json={"name": "conformance"}).json()
    ask("key list", "GET", path)
    ask("key delete", "DELETE", f"{path}{made['id']}")
    ask("key delete nobody's", "DELETE", f"{path}{NOBODYS}")


def variables(ask: Side) -> None:
    path = "/api/v1/variables/"
    fields = {"name": "RIVER", "value": "Elbe", "type": "Generic", "default_fields": []}
    made = ask("variable create", "POST", path, json=fields).json()
    ask("variable create again", "POST", path, json=fields)
    ask("variable create secret", "POST", path, json={**fields, "name": "SECRET", "type": "Credential"})
    ask("variable create without value", "POST", path, json={"name": "EMPTY"})
    ask("variable list", "GET", path)
    ask("variable change", "PATCH", f"{path}{made['id']}", json={"id": made["id"], "value": "Oder"})
    ask("variable change nobody's", "PATCH", f"{path}{NOBODYS}", json={"id": NOBODYS, "value": "Oder"})
    ask("variable delete", "DELETE", f"{path}{made['id']}")
    ask("variable delete again", "DELETE", f"{path}{made['id']}")


def webhooks(ask: Side) -> None:
    ask.made("/api/v1/flows/", json=echo("Hooked", endpoint_name="hooked"))
    ask("webhook", "POST", "/api/v1/webhook/hooked", json={"a": 1})
    ask("webhook text", "POST", "/api/v1/webhook/hooked", content=b"not json")
    ask("webhook nothing", "POST", "/api/v1/webhook/hooked")
    ask("webhook unknown name", "POST", "/api/v1/webhook/nope", json={"a": 1})


def jobs(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Queued"))["id"]
    path = "/api/v2/workflows"
    body = {"flow_id": flow, "input_value": "hi", "mode": "background"}
    job = ask("job", "POST", path, json=body).json()["job_id"]
    ask.until(lambda: ask.http.get(f"{path}?job_id={job}").json()["status"] == "completed")
    ask("job status", "GET", f"{path}?job_id={job}")
    ask("job events", "GET", f"{path}/{job}/events")
    ask("job events after some", "GET", f"{path}/{job}/events", headers={"last-event-id": "2"})
    other = ask.made(path, json={**body, "stream_protocol": "agui"})["job_id"]
    ask.until(lambda: ask.http.get(f"{path}?job_id={other}").json()["status"] == "completed")
    ask("job events agui", "GET", f"{path}/{other}/events")
    ask("job events agui after some", "GET", f"{path}/{other}/events", headers={"last-event-id": "1"})
    ask("job status of none", "GET", path)
    ask("job events of no uuid", "GET", f"{path}/abc/events")
    ask("job stop no uuid", "POST", f"{path}/stop", json={"job_id": "abc"})
    ask("job without a flow", "POST", path, json={"mode": "background"})
    ask("job status of nobody's", "GET", f"{path}?job_id={NOBODYS}")
    ask("job events of nobody's", "GET", f"{path}/{NOBODYS}/events")
    ask("job stop when over", "POST", f"{path}/stop", json={"job_id": job})
    ask("job stop nobody's", "POST", f"{path}/stop", json={"job_id": NOBODYS})


def pauses(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=waiting("Waiting"))["id"]
    path = "/api/v2/workflows"
    body = {"flow_id": flow, "input_value": "May I?", "mode": "background"}

    def asking() -> tuple[str, str]:
        job = ask.made(path, json=body)["job_id"]
        ask.until(lambda: ask.http.get(f"{path}?job_id={job}").json()["status"] == "suspended")
        (pending,) = ask.http.get(f"{path}/pending?flow_id={flow}").json()
        return job, pending["request_id"]

    job, request = asking()
    ask("pause status", "GET", f"{path}?job_id={job}")
    ask("pause pending", "GET", f"{path}/pending?flow_id={flow}")
    ask("pause pending of no uuid", "GET", f"{path}/pending?flow_id=abc")
    resume, approved = f"{path}/{job}/resume", {"action_id": "approve"}
    ask("pause resume nobody's", "POST", f"{path}/{NOBODYS}/resume", json={"request_id": request, "decision": approved})
    ask("pause resume nothing", "POST", resume, json={})
    ask("pause resume another request", "POST", resume, json={"request_id": "nope", "decision": approved})
    ask("pause resume undecided", "POST", resume, json={"request_id": request, "decision": {"action_id": "nope"}})
    ask("pause resume", "POST", resume, json={"request_id": request, "decision": approved})
    ask.until(lambda: ask.http.get(f"{path}?job_id={job}").json()["status"] == "completed")
    ask("pause resume twice", "POST", resume, json={"request_id": request, "decision": approved})
    ask("pause over", "GET", f"{path}?job_id={job}")
    ask("pause events", "GET", f"{path}/{job}/events")
    job, _ = asking()
    ask("pause stop", "POST", f"{path}/stop", json={"job_id": job})
    ask("pause none pending", "GET", f"{path}/pending?flow_id={flow}")


def responses(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Responding", endpoint_name="responding"))["id"]
    path = "/api/v1/responses"
    ask("response", "POST", path, json={"model": flow, "input": "hi"})
    ask("response unknown model", "POST", path, json={"model": NOBODYS, "input": "hi"})
    ask("response with what was before", "POST", path, json={"model": flow, "input": "hi", "previous_response_id": "x"})
    ask("response with results", "POST", path, json={"model": flow, "input": "hi", "include": ["tool_call.results"]})
    ask("response with tools", "POST", path, json={"model": flow, "input": "hi", "tools": [{"type": "function"}]})
    ask("response of no object", "POST", path, json=[])
    ask("response without input", "POST", path, json={"model": flow})
    ask("response stream", "POST", path, json={"model": flow, "input": "hi", "stream": True})


def builds(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Built"))["id"]
    inputs = {"inputs": {"input_value": "hi", "session": "built"}}
    job = ask("build", "POST", f"/api/v1/build/{flow}/flow", json=inputs).json()["job_id"]
    ask("build events", "GET", f"/api/v1/build/{job}/events")
    ask("build direct", "POST", f"/api/v1/build/{flow}/flow?event_delivery=direct", json=inputs)
    ask("build cancel when over", "POST", f"/api/v1/build/{job}/cancel")
    ask("build polled", "POST", f"/api/v1/build/{flow}/flow?event_delivery=polling", json=inputs)
    ask("build up to a node", "POST", f"/api/v1/build/{flow}/flow?event_delivery=direct&stop_component_id=ChatInput-1")
    ask("build nobody's", "POST", f"/api/v1/build/{NOBODYS}/flow", json={})
    ask("build events of no job", "GET", f"/api/v1/build/{NOBODYS}/events")
    ask("build cancel no job", "POST", f"/api/v1/build/{NOBODYS}/cancel")
    failed = ask.made("/api/v1/flows/", json=failing("Built to fail"))["id"]
    ask("build that fails", "POST", f"/api/v1/build/{failed}/flow?event_delivery=direct", json=inputs)


def workflows(ask: Side) -> None:
    flow = ask.made("/api/v1/flows/", json=echo("Working"))["id"]
    failed = ask.made("/api/v1/flows/", json=failing("Working to fail"))["id"]
    path = "/api/v2/workflows"
    hi = {"flow_id": flow, "input_value": "hi"}
    upload = f"/api/v1/files/upload/{flow}"
    for name, body in (
        ("", hi),
        (" of a session", {**hi, "session_id": "one"}),
        (" tweaked", {**hi, "tweaks": {"ChatInput-1": {"sender_name": "Bob"}}}),
        (" with a canvas", {**hi, "data": echo("x")["data"]}),
        (" up to a node", {**hi, "stop_component_id": "ChatInput-1"}),
        (" from a node", {**hi, "start_component_id": "ChatOutput-1"}),
        (" from no node", {**hi, "start_component_id": "nope"}),
        (" with files", {**hi, "files": [ask.made(upload, files={"file": ("n.txt", b"hi")})["file_path"]]}),
        (" badly typed", {**hi, "tweaks": 1}),
        (" with an output", {**hi, "output_ids": ["ChatOutput-1"]}),
        (" with globals", {**hi, "globals": {"RIVER": "Elbe"}}),
        (" that fails", {**hi, "flow_id": failed}),
        (" with an unknown field", {**hi, "nope": 1}),
        (" nobody's", {**hi, "flow_id": NOBODYS}),
        (" no uuid", {**hi, "flow_id": "abc"}),
        (" with an unknown output", {**hi, "output_ids": ["nope"]}),
        (" with an unknown protocol", {**hi, "mode": "stream", "stream_protocol": "nope"}),
        (" up to no node", {**hi, "stop_component_id": "nope"}),
    ):
        ask(f"workflow{name}", "POST", path, json=body)
    ask("workflow without key", "POST", path, json=hi, headers=SIGNED_OUT)
    for protocol in ("langflow", "agui"):
        for name, flow_id in (("", flow), (" that fails", failed)):
            body = {**hi, "flow_id": flow_id, "mode": "stream", "stream_protocol": protocol}
            ask(f"workflow stream {protocol}{name}", "POST", path, json=body)
    for name, fields in (
        (" showing its graph", {"stream_protocol": "agui", "expose_graph_state": True}),
        (" up to a node", {"stop_component_id": "ChatInput-1"}),
        (" from a node", {"start_component_id": "ChatOutput-1"}),
        (" with a canvas", {"data": echo("x")["data"]}),
        (" of nobody's", {"flow_id": NOBODYS}),
    ):
        ask(f"workflow stream{name}", "POST", path, json={**hi, "mode": "stream", **fields})


STORIES: tuple[Any, ...] = (
    about,
    session,
    flows,
    lists,
    bulk,
    projects,
    files,
    own_files,
    runs,
    advanced,
    editing,
    catalogue,
    monitor,
    messages,
    builds,
    workflows,
    jobs,
    pauses,
    responses,
    webhooks,
    keys,
    variables,
)
