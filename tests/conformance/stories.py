"""What is asked of both servers: every request has a name, by which the table of differences knows it."""

from __future__ import annotations

from typing import Any

from tests.conformance.flows import NOBODYS, echo
from tests.conformance.sides import SIGNED_OUT, Side
from tests.conformance.stories_of_flows import bulk, catalogue, editing, files, flows, lists, own_files, projects
from tests.conformance.stories_of_runs import advanced, builds, jobs, pauses, responses, runs, webhooks, workflows
from tests.kit.shipped import shipped


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
    field = {**shipped("ChatInput")["template"]["input_value"], "value": " RIVER", "load_from_db": True}
    flow = echo("Naming")
    flow["data"]["nodes"][0]["data"]["node"]["template"] |= {"input_value": field}
    made_flow = ask.made("/api/v1/flows/", json=flow)["id"]
    kept = ask.made(f"/api/v1/flows/{made_flow}/versions/", json={})["id"]
    for name, ids in (("", [kept, kept]), (" of none", []), (" of nobody's", [NOBODYS]), (" of no uuid", ["abc"])):
        ask(f"variable detections{name}", "POST", f"{path}detections", json={"flow_version_ids": ids})
    ask("variable change", "PATCH", f"{path}{made['id']}", json={"id": made["id"], "value": "Oder"})
    ask("variable change nobody's", "PATCH", f"{path}{NOBODYS}", json={"id": NOBODYS, "value": "Oder"})
    ask("variable delete", "DELETE", f"{path}{made['id']}")
    ask("variable delete again", "DELETE", f"{path}{made['id']}")


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
