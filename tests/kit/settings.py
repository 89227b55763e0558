"""What tests do about settings."""

from __future__ import annotations

import os

import pytest


def forget_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no settings of the shell that the tests run in."""
    for name in [name for name in os.environ if name.startswith("FLOWRAY_")]:
        monkeypatch.delenv(name)
