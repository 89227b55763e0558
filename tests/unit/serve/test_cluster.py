"""Ray for one home: closed to the outside, and able to live beside another."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from flowray_serve.cluster import ports
from flowray_serve.cluster.environment import Ports, ray_environment
from flowray_serve.cluster.haproxy import amended, kept_to_loopback, write_launcher
from flowray_serve.cluster.leftovers import end_leftovers
from flowray_serve.cluster.no_gateway import write_answers
from flowray_serve.cluster.ports import PortTakenError, check_free, free_ports

PORTS = Ports(
    proxy_statistics=1,
    proxy_metrics=2,
    fallback_http=5,
    fallback_grpc=6,
    dashboard_metrics=3,
    autoscaler_metrics=4,
    replicas=20_000,
)
SLEEP = [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"]


def test_haproxy_says_whom_it_heard_and_does_not_wait_for_ever_for_a_head() -> None:
    configuration = "defaults\n    mode http\n    option httplog\nfrontend f\n    bind *:8000\n"

    lines = amended(configuration, answers={}).splitlines()

    assert lines[2:5] == ["    option httplog", "    timeout http-request 30s", "    option forwardfor"]
    told = configuration.replace("    mode", "    timeout http-request 9s\n    mode")
    assert amended(told, answers={}).count("timeout") == 1


def test_haproxy_sees_who_leaves_while_a_request_is_answered() -> None:
    configuration = "defaults\n    option httplog\n    option splice-request\n    option splice-response\n"

    ours = amended(configuration, answers={})

    assert "splice-request" not in ours
    assert ours.endswith("forwardfor\n    option splice-response\n")


def test_haproxy_answers_for_gateways_that_are_not_there_as_they_would(tmp_path: Path) -> None:
    configuration = (
        "global\n    tune.bufsize 16384\ndefaults\n    option httplog\n"
        "    errorfile 502 /serve/500.http\n    errorfile 503 /serve/500.http\n    errorfile 500 /other\n"
        "backend default_backend\n"
        '    http-request return status 404 lf-string "Path not found. Ping http://.../-/routes for available routes."'
    )
    answers = write_answers(tmp_path)

    ours = amended(configuration, answers=answers)

    assert f"errorfile 502 {answers[502]}\n    errorfile 503 {answers[503]}\n    errorfile 500 /other\n" in ours
    assert ours.endswith("\n    http-request deny deny_status 503")


@pytest.mark.parametrize(
    ("origins", "known", "allowed"),
    [
        (
            ["https://a.test", "http://b.test:1"],
            ["-m str https://a.test", "-m str http://b.test:1"],
            "%[var(txn.origin)]",
        ),
        (["*"], ["-m found"], "*"),
    ],
)
def test_haproxy_says_to_pages_that_were_named_that_they_may_read_what_no_gateway_answered(
    origins: list[str], known: list[str], allowed: str
) -> None:
    front = "frontend http_frontend\n    bind 127.0.0.1:8000\n    default_backend x\n"

    rules = amended(front, answers={}, origins=origins).splitlines()

    assert rules[2] == "    http-request set-var(txn.origin) req.hdr(origin)"
    assert rules[3 : 3 + len(known)] == [f"    acl from_page var(txn.origin) {one}" for one in known]
    unsaid = "if from_page !{ res.hdr(access-control-allow-origin) -m found }"
    assert f"    http-after-response set-header access-control-allow-origin {allowed} {unsaid}" in rules
    assert amended(front, answers={}) == front


def test_haproxy_leaves_it_to_the_gateway_to_say_what_is_too_large() -> None:
    ours = amended("global\n    tune.bufsize 16384\ndefaults\n    option httplog\n", answers={})

    assert "    tune.bufsize 65536\n    tune.http.maxhdr 256\n" in ours


def test_what_haproxy_answers_is_a_problem_document_that_says_when_to_come_again(tmp_path: Path) -> None:
    head, _, body = write_answers(tmp_path)[503].read_text().partition("\n\n")

    assert head.splitlines()[0] == "HTTP/1.1 503 Service Unavailable"
    assert {"Retry-After: 2", "Content-Type: application/problem+json", f"Content-Length: {len(body)}"} <= set(
        head.splitlines()
    )
    assert (json.loads(body)["code"], json.loads(body)["status"]) == ("no_gateway", 503)


def test_what_serve_opens_on_every_interface_is_kept_to_loopback() -> None:
    configuration = (
        "frontend prometheus\n    bind :9101\nlisten stats\n  bind *:8404\nfrontend http\n    bind 1.2.3.4:80\n"
    )

    kept = kept_to_loopback(configuration)

    assert kept.count("bind 127.0.0.1:") == 2
    assert "bind 1.2.3.4:80" in kept


def test_the_launcher_is_its_owners_only_and_needs_nothing_of_the_callers_environment(tmp_path: Path) -> None:
    launcher = tmp_path / "haproxy"
    write_launcher(launcher)

    assert launcher.stat().st_mode & 0o777 == 0o700
    assert launcher.read_text().splitlines()[0] == f"#!{sys.executable} -I"


def test_the_launcher_knows_whose_pages_may_call(tmp_path: Path) -> None:
    launcher = tmp_path / "haproxy"
    write_launcher(launcher, origins=("https://a.test",))

    assert launcher.read_text().endswith("become(['https://a.test'])\n")


def test_two_homes_share_no_path(tmp_path: Path) -> None:
    first, second = (
        ray_environment(token=run / "t", run=run, launcher=run / "h", ports=PORTS)
        for run in (tmp_path / "a", tmp_path / "b")
    )

    paths = [name for name, value in first.items() if value.startswith("/")]

    assert paths
    assert all(first[name] != second[name] for name in paths)


def test_ray_asks_for_its_token_and_stays_on_loopback(tmp_path: Path) -> None:
    environment = ray_environment(token=tmp_path / "t", run=tmp_path, launcher=tmp_path / "h", ports=PORTS)

    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "t")
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


def test_ports_are_free_and_differ() -> None:
    found = free_ports()

    single = set(asdict(found).values())
    assert len(single) == len(fields(found))
    for port in single:
        check_free("127.0.0.1", port)


def test_a_port_is_promised_to_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_SINGLE_FROM", 31_000)
    monkeypatch.setattr(ports, "_SINGLE_TO", 31_040)
    monkeypatch.setattr(ports, "_PROMISED", set())
    check_free("127.0.0.1", 31_007)

    given = [ports.free_port() for _ in range(12)]

    assert len({*given, 31_007}) == 13


def test_a_port_in_use_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTakenError, match="FLOWRAY_PORT"):
        check_free("127.0.0.1", taken.getsockname()[1])


def test_a_process_on_a_leash_ends_with_its_parent() -> None:
    parent = (
        "import subprocess, sys; from flowray_serve.cluster.leash import on_leash\n"
        f"child = subprocess.Popen({SLEEP!r}, stdout=subprocess.PIPE, preexec_fn=on_leash)\n"
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = os.pidfd_open(int(process.stdout.readline()))
        process.kill()

    assert _ended(child)


def test_leftovers_are_those_that_run_in_our_folder_with_our_token(tmp_path: Path) -> None:
    run, token = tmp_path / "run", tmp_path / "secret"
    run.mkdir()
    marked = os.environ | {"RAY_AUTH_TOKEN_PATH": str(token)}
    ours = subprocess.Popen(SLEEP, cwd=run, env=marked, stdout=subprocess.DEVNULL)
    strangers = [
        subprocess.Popen(SLEEP, cwd=run, stdout=subprocess.DEVNULL),
        subprocess.Popen(SLEEP, cwd=tmp_path, env=marked, stdout=subprocess.DEVNULL),
    ]
    try:
        assert end_leftovers(run, token=token) == 1

        assert ours.wait(5) == -signal.SIGKILL
        assert [stranger.poll() for stranger in strangers] == [None, None]
    finally:
        for process in (ours, *strangers):
            process.kill()
            process.wait()


def test_leftovers_are_found_behind_a_link_to_the_home(tmp_path: Path) -> None:
    (tmp_path / "disk" / "run").mkdir(parents=True)
    home = tmp_path / "home"
    home.symlink_to(tmp_path / "disk")
    run, token = home / "run", home / "secret"
    with subprocess.Popen(
        SLEEP, cwd=run, env=os.environ | {"RAY_AUTH_TOKEN_PATH": str(token)}, stdout=subprocess.PIPE
    ) as left:
        assert left.stdout is not None
        left.stdout.readline()
        try:
            assert end_leftovers(run, token=token) == 1
        finally:
            left.kill()


def _ended(pidfd: int) -> bool:
    import select

    readable, _, _ = select.select([pidfd], [], [], 5)
    os.close(pidfd)
    return bool(readable)
