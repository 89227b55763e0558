"""What secrets are encrypted with: the operator's master keys, or, for trying things out, one that is made here."""

from __future__ import annotations

from functools import partial

from flowray.errors import SettingsError
from flowray.tenancy.sealing import MasterKeys, new_master_key
from flowray_serve.home import Home
from flowray_serve.settings import Settings


def master_keys(settings: Settings, home: Home) -> MasterKeys:
    """The ring that the settings name; in development, without one, a key below the home."""
    secrets = settings.secrets
    if secrets.keys is not None:
        return MasterKeys.of(secrets.keys.get_secret_value())
    if secrets.key_file is not None:
        return MasterKeys.of(_text_of(settings))
    if settings.mode == "production":
        raise SettingsError(
            "In production secrets need a master key of yours: set FLOWRAY_SECRETS__KEYS or FLOWRAY_SECRETS__KEY_FILE. "
            "`flowray secrets key` makes one."
        )
    return MasterKeys.of(home.master_keys(partial(new_master_key, "development")))


def _text_of(settings: Settings) -> str:
    file = settings.secrets.key_file
    try:
        return file.expanduser().read_text() if file else ""
    except (OSError, UnicodeDecodeError) as cause:
        raise SettingsError(f"The file of master keys cannot be read: {cause}") from cause
