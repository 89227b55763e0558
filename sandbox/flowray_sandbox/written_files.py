"""Files that components write to keep them: Langflow's upload, which Write File calls, over the channel.

What is in a sandbox goes with it. A file that is handed over here is kept with the tenant's own files.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from flowray_sandbox import outside

_FILES = "langflow.api.v2.files"
_USERS = "langflow.services.database.models.user.crud"


async def upload_user_file(*, file: Any, **_: Any) -> SimpleNamespace:
    """Keep a file; whose it is, the host knows."""
    content = await file.read()
    kept = await outside.ask("files.keep", blob=content, name=str(file.filename or "file"))
    return SimpleNamespace(**kept, provider=None)


async def get_user_by_id(*_: Any) -> SimpleNamespace:
    """Nobody in particular."""
    return SimpleNamespace(id=None)


class _Upload(ModuleType):
    """Langflow's module of that route. Who takes the upload from it asks next for its user, and only then finds one.

    Other components look for Langflow's users to learn whether there is a Langflow at all.
    """

    def __getattr__(self, name: str) -> Any:
        if name != "upload_user_file":
            raise AttributeError(name)
        sys.modules[_USERS] = _User(_USERS)
        return upload_user_file


class _User(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name != "get_user_by_id":
            raise AttributeError(name)
        sys.modules.pop(_USERS, None)
        return get_user_by_id


def install() -> None:
    """Be there when it is imported."""
    sys.modules[_FILES] = _Upload(_FILES)
