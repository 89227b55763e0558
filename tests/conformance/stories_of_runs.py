"""What is asked to run flows: in each API, at once and in the background."""

from __future__ import annotations

import json

from tests.conformance.flows import NOBODYS, echo, failing, waiting
from tests.conformance.sides import SIGNED_OUT, Side


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
    as_curl = {"content-type": "application/x-www-form-urlencoded"}
    ask("run as curl sends it", "POST", path, content=json.dumps({"input_value": "hi"}), headers=as_curl)
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


def webhooks(ask: Side) -> None:
    ask.made("/api/v1/flows/", json=echo("Hooked", endpoint_name="hooked"))
    ask("webhook", "POST", "/api/v1/webhook/hooked", json={"a": 1})
    ask("webhook text", "POST", "/api/v1/webhook/hooked", content=b"not json")
    ask("webhook nothing", "POST", "/api/v1/webhook/hooked")
    ask("webhook unknown name", "POST", "/api/v1/webhook/nope", json={"a": 1})
