from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from flowray_sandbox import tls_contexts

BUNDLE = certifi.where()


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ssl.SSLContext]]:
    """Contexts that lie ready, and `ssl` as it was afterwards."""
    monkeypatch.setattr(ssl, "create_default_context", ssl.create_default_context)
    tls_contexts.prepare(BUNDLE)
    yield tls_contexts._ready
    tls_contexts._ready.clear()
    tls_contexts._bundle.clear()


def test_a_context_that_lies_ready_is_what_would_be_made_and_is_handed_out_once(ready: list[ssl.SSLContext]) -> None:
    lay = list(ready)

    taken = [ssl.create_default_context(cafile=BUNDLE) for _ in range(len(lay) + 1)]

    assert {*map(id, taken[:-1])} == {*map(id, lay)}
    assert len({*map(id, taken)}) == len(taken)
    made = tls_contexts._original(cafile=BUNDLE)
    for context in taken:
        assert context.get_ca_certs(binary_form=True) == made.get_ca_certs(binary_form=True)
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert (context.options, context.verify_flags, context.protocol) == (
            made.options,
            made.verify_flags,
            made.protocol,
        )


@pytest.mark.parametrize(
    ("purpose", "more"),
    [
        (ssl.Purpose.CLIENT_AUTH, {"cafile": BUNDLE}),
        (ssl.Purpose.SERVER_AUTH, {}),
        (ssl.Purpose.SERVER_AUTH, {"cafile": BUNDLE, "capath": "/etc"}),
        (ssl.Purpose.SERVER_AUTH, {"cafile": BUNDLE, "cadata": Path(BUNDLE).read_text()}),
    ],
)
def test_who_asks_for_something_else_gets_it_made(
    ready: list[ssl.SSLContext], purpose: ssl.Purpose, more: dict[str, object]
) -> None:
    lay = list(ready)

    made = ssl.create_default_context(purpose, **more)  # type: ignore[arg-type]  # as the parameters say

    assert made not in lay
    assert ready == lay


def test_who_wants_the_keys_logged_gets_a_context_that_does(
    ready: list[ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    made = ssl.create_default_context(cafile=BUNDLE)

    assert made.keylog_filename == str(tmp_path / "keys")
    assert made not in ready


def test_what_is_handed_out_meanwhile_is_taken_back(ready: list[ssl.SSLContext]) -> None:
    lay = list(ready)

    with tls_contexts.restored():
        ssl.create_default_context(cafile=BUNDLE)

    assert ready == lay


def test_a_host_without_authorities_has_none_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", ssl.create_default_context)

    tls_contexts.prepare("/nowhere.pem")

    assert tls_contexts._ready == []
    assert ssl.create_default_context is tls_contexts._original
