"""Settings come from FLOWRAY_* variables, once; what is unknown or out of bounds stops the start."""

from pathlib import Path

import pytest

from flowray.errors import SettingsError
from flowray_serve.settings import Settings, read_settings
from tests.kit.settings import forget_settings


@pytest.fixture(autouse=True)
def no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_settings(monkeypatch)


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_without_variables_one_pool_listens_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)

    assert (found.host, found.port) == ("127.0.0.1", 8000)
    assert list(found.pools) == ["default"]
    assert found.pools["default"].egress == ()


def test_a_nested_setting_has_its_path_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, FLOWRAY_LIMITS__WALL_S="20").limits.wall_s == 20


def test_pools_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, FLOWRAY_POOLS='{"gpu": {"gpu": 1, "labels": {"zone": "a"}, "egress": ["x.org"]}}')

    assert found.pools["gpu"].labels == {"zone": "a"}
    assert found.pools["gpu"].egress == ("x.org",)


def test_an_empty_path_is_one_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, FLOWRAY_HOME="", FLOWRAY_IMAGES="")

    assert (found.home, found.images) == (Path("~/.flowray"), None)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, FLOWRAY_VARIABLES='{"OPENAI_API_KEY": "sk-1"}', FLOWRAY_REDIS__URL="redis://:pw@x")

    assert "sk-1" not in repr(found)
    assert "pw" not in repr(found)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FLOWRAY_PROT", "FLOWRAY_PORT"),
        ("FLOWRAY_REDIS_URL", "FLOWRAY_REDIS__URL"),
        ("FLOWRAY_LIMITS__WALLS", "FLOWRAY_LIMITS__WALL_S"),
        ("flowray_prot", "FLOWRAY_PORT"),
        ("FLOWRAY_POOLS__DEFAULT__SPARSE", "FLOWRAY_POOLS__DEFAULT__SPARES"),
    ],
)
def test_an_unknown_variable_stops_the_start_and_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    with pytest.raises(SettingsError, match=f"`{name}`.*`{nearest}`"):
        settings(monkeypatch, **{name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLOWRAY_PORT", "0"),
        ("FLOWRAY_LIMITS__WALL_S", "-1"),
        ("FLOWRAY_DURABILITY", "eventual"),
        ("FLOWRAY_GATEWAY__REPLICAS", "many"),
        ("FLOWRAY_POOLS", "{not json"),
        ("FLOWRAY_POOLS", "{}"),
        ("FLOWRAY_QUOTAS__CPU", "inf"),
        ("FLOWRAY_QUOTAS__RUNS", str(10**40)),
        ("FLOWRAY_PRICES__CPU_HOUR", "inf"),
    ],
)
def test_a_value_out_of_bounds_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(SettingsError):
        settings(monkeypatch, **{name: value})


def test_a_misspelt_pool_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="FLOWRAY_POOLS__DEFAULT__SPARSE"):
        settings(monkeypatch, FLOWRAY_POOLS='{"default": {"sparse": 2}}')


@pytest.mark.parametrize(
    ("name", "tree", "unknown", "nearest"),
    [
        ("FLOWRAY_GATEWAY", '{"sync": 2}', "FLOWRAY_GATEWAY__SYNC", "FLOWRAY_GATEWAY__SYNC_S"),
        ("FLOWRAY_POOLS", '{"gpu": {"gpus": 1}}', "FLOWRAY_POOLS__GPU__GPUS", "FLOWRAY_POOLS__GPU__GPU"),
        (
            "FLOWRAY_PRICES",
            '{"models": {"gpt": {"inputs": 1}}}',
            "FLOWRAY_PRICES__MODELS__GPT__INPUTS",
            "FLOWRAY_PRICES__MODELS__GPT__INPUT",
        ),
    ],
)
def test_a_misspelt_setting_in_a_tree_is_told_the_nearest(
    monkeypatch: pytest.MonkeyPatch, name: str, tree: str, unknown: str, nearest: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(monkeypatch, **{name: tree})

    assert refused.value.message == f"There is no setting `{unknown}`. Did you mean `{nearest}`? Else leave it out."


@pytest.mark.parametrize(
    "name", ["FLOWRAY_POOLS", "FLOWRAY_POOLS__DEFAULT__LABELS", "FLOWRAY_CALLBACKS__PRIVATE_HOSTS"]
)
def test_what_is_no_json_is_refused_by_the_variable_that_holds_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(SettingsError, match=f"The setting `{name}` cannot be read: .*JSON"):
        settings(monkeypatch, FLOWRAY_GATEWAY__KEEP="all", **{name: "a.test"})


@pytest.mark.parametrize(
    ("name", "tree", "wrong", "why"),
    [
        ("FLOWRAY_RATES", '{"run": "fast"}', "FLOWRAY_RATES__RUN", "`fast` is no rate"),
        ("FLOWRAY_RATES", '{"runs": "9/s"}', "FLOWRAY_RATES__RUNS", "Did you mean `run`"),
        ("FLOWRAY_POOLS", '{"a b/c": {}}', "FLOWRAY_POOLS__A B/C", "a pool's name has letters"),
    ],
)
def test_a_rate_or_a_pool_that_nothing_could_be_made_of_stops_the_start_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, name: str, tree: str, wrong: str, why: str
) -> None:
    with pytest.raises(SettingsError, match=f"The setting `{wrong}` is wrong: .*{why}"):
        settings(monkeypatch, **{name: tree})


def test_settings_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)

    with pytest.raises(ValueError, match="frozen"):
        found.port = 1  # type: ignore[misc]


def test_walls_are_lowered_by_name_for_one_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, FLOWRAY_POOLS='{"own": {"tenants": ["acme"], "lowered_walls": ["landlock"]}}')

    assert found.pools["own"].lowered_walls == ("landlock",)


@pytest.mark.parametrize("pool", ['{"lowered_walls": ["landlock"]}', '{"tenants": ["a"], "lowered_walls": ["roof"]}'])
def test_walls_without_a_tenant_or_a_known_name_stop_the_start(monkeypatch: pytest.MonkeyPatch, pool: str) -> None:
    with pytest.raises(SettingsError):
        settings(monkeypatch, FLOWRAY_POOLS=f'{{"own": {pool}}}')


@pytest.mark.parametrize(
    ("name", "value", "at"),
    [
        ("FLOWRAY_POOLS", '{"default": {"egress": ["https://api.test"]}}', "FLOWRAY_POOLS__DEFAULT__EGRESS__0"),
        ("FLOWRAY_POOLS", '{"gpu": {"private_hosts": ["https://api.test"]}}', "FLOWRAY_POOLS__GPU__PRIVATE_HOSTS__0"),
        ("FLOWRAY_CALLBACKS__PRIVATE_HOSTS", '["https://api.test"]', "FLOWRAY_CALLBACKS__PRIVATE_HOSTS__0"),
    ],
)
def test_a_host_that_no_run_could_use_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, at: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(monkeypatch, **{name: value})

    assert refused.value.message == (
        f"The setting `{at}` is wrong: `https://api.test` is a URL: give the host alone, api.test."
    )
