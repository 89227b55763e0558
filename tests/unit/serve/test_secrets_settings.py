"""What secrets are encrypted with, by the settings."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from flowray.errors import SettingsError
from flowray.tenancy.sealing import new_master_key
from flowray_serve.home import Home
from flowray_serve.parts.secrets import master_keys
from flowray_serve.settings import SecretSettings, Settings
from flowray_serve.token_settings import TokenSettings

OLD, NEW = new_master_key("old"), new_master_key("new")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_in_development_a_key_is_made_once_for_its_owner_only(home: Home, tmp_path: Path) -> None:
    first, second = master_keys(Settings(), home), master_keys(Settings(), home)
    assert first == second
    assert stat.S_IMODE((tmp_path / "master.keys").stat().st_mode) == 0o600


def test_in_production_there_is_no_start_without_a_key(home: Home) -> None:
    with pytest.raises(SettingsError, match="FLOWRAY_SECRETS__KEYS"):
        master_keys(Settings(mode="production"), home)
    assert not (home.path / "master.keys").exists()


def test_keys_come_from_the_environment_or_from_a_file_the_newest_first(home: Home, tmp_path: Path) -> None:
    said = SecretSettings(keys=SecretStr(f"{NEW},{OLD}"))
    file = tmp_path / "keys"
    file.write_text(f"{NEW}\n{OLD}\n")
    rings = [
        master_keys(Settings(mode="production", secrets=secrets), home)
        for secrets in (said, SecretSettings(key_file=file))
    ]
    assert rings[0] == rings[1]
    assert rings[0].newest == "new"


def test_a_file_that_cannot_be_read_stops_the_start(home: Home, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        master_keys(Settings(secrets=SecretSettings(key_file=tmp_path / "none")), home)


def test_an_issuer_without_an_audience_stops_the_start() -> None:
    with pytest.raises(ValueError, match="audience"):
        TokenSettings(issuer="https://issuer.example")
