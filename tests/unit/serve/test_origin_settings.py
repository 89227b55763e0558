"""Whose pages may call: origins are taken as browsers send them, and one that is written otherwise stops the start."""

from __future__ import annotations

import pytest

from flowray.errors import SettingsError
from flowray_serve.settings import read_settings
from tests.kit.settings import forget_settings

NAME = "FLOWRAY_GATEWAY__CORS_ORIGINS"


@pytest.fixture(autouse=True)
def no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_settings(monkeypatch)


def origins(monkeypatch: pytest.MonkeyPatch, given: str) -> tuple[str, ...]:
    monkeypatch.setenv(NAME, given)
    return read_settings().gateway.cors_origins


def refusal(monkeypatch: pytest.MonkeyPatch, given: str) -> str:
    with pytest.raises(SettingsError) as refused:
        origins(monkeypatch, given)
    return refused.value.message


def test_no_page_may_call_unless_it_is_named() -> None:
    assert read_settings().gateway.cors_origins == ()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", ()),
        ("*", ("*",)),
        ('["*"]', ("*",)),
        ("https://a.test", ("https://a.test",)),
        ('["https://a.test", "http://localhost:3000"]', ("https://a.test", "http://localhost:3000")),
        ("https://a.test, http://[::1]:3000", ("https://a.test", "http://[::1]:3000")),
        ("capacitor://localhost,chrome-extension://abcdef", ("capacitor://localhost", "chrome-extension://abcdef")),
    ],
)
def test_origins_are_a_list_as_others_are_or_apart_by_commas_as_langflow_has_them(
    monkeypatch: pytest.MonkeyPatch, given: str, found: tuple[str, ...]
) -> None:
    assert origins(monkeypatch, given) == found


def test_they_may_be_given_with_the_rest_of_their_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRAY_GATEWAY", '{"cors_origins": ["https://a.test"]}')

    assert read_settings().gateway.cors_origins == ("https://a.test",)


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ("https://a.test/", "https://a.test"),
        ("https://a.test/chat?x=1#y", "https://a.test"),
        ("https://ada:secret@a.test", "https://a.test"),
        ("HTTPS://A.test", "https://a.test"),
        ("https://a.test:443", "https://a.test"),
        ("http://a.test:80/", "http://a.test"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
    ],
)
def test_what_no_browser_sends_is_refused_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, given: str, instead: str
) -> None:
    assert refusal(monkeypatch, given) == (
        f"The setting `{NAME}__0` is wrong: no browser sends `{given}` as an origin: write `{instead}`."
    )


@pytest.mark.parametrize(
    ("given", "instead"), [("a.test/chat", "https://a.test"), ("a.test:8000", "https://a.test:8000")]
)
def test_a_scheme_is_not_guessed(monkeypatch: pytest.MonkeyPatch, given: str, instead: str) -> None:
    assert refusal(monkeypatch, given) == (
        f"The setting `{NAME}__0` is wrong: `{given}` has no scheme: write `{instead}`, or the same with `http`."
    )


@pytest.mark.parametrize(
    "given", ["https://*.a.test", "https://", "file:///a.html", "https://a.test:99999", "https://ä.test"]
)
def test_what_is_no_origin_is_refused_with_what_one_looks_like(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    assert f"`{given}` is no origin: write `https://HOST` or `https://HOST:PORT`" in refusal(monkeypatch, given)


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ('["*", "https://a.test"]', "`*` stands for all origins: write it alone, or leave it out and name them"),
        ("null", "serve the page, and name its origin"),
        ('["https://a.test"', '`["https://chat.example.org"]`, or `*`'),
        ("[1]", "valid string"),
        (",".join(f"https://a{number}.test" for number in range(101)), "100"),
    ],
)
def test_a_list_that_says_two_things_or_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str, instead: str
) -> None:
    assert instead in refusal(monkeypatch, given)
