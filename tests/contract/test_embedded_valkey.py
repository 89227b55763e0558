"""The server that FlowRay brings: what it is run with."""

from __future__ import annotations

from pathlib import Path

from flowray.stores.redis import connect
from flowray_serve.embedded import EmbeddedValkey


def test_its_memory_is_jemalloc_s(embedded: EmbeddedValkey) -> None:
    assert "jemalloc" in Path(f"/proc/{embedded.pid}/maps").read_text()


async def test_it_keeps_a_log_and_no_snapshots(embedded: EmbeddedValkey) -> None:
    async with connect(embedded.url) as client:
        assert await client.config_get("save", "appendonly") == {"save": "", "appendonly": "yes"}


async def test_it_takes_no_port_and_its_door_is_its_owner_s(embedded: EmbeddedValkey, tmp_path: Path) -> None:
    async with connect(embedded.url) as client:
        assert await client.config_get("port") == {"port": "0"}

    assert (tmp_path / "door").stat().st_mode & 0o777 == 0o600


async def test_what_was_written_is_there_after_a_restart(embedded: EmbeddedValkey) -> None:
    async with connect(embedded.url) as client:
        await client.set("a", "1")
    embedded.stop()

    embedded.start()

    async with connect(embedded.url) as client:
        assert await client.get("a") == b"1"


async def test_a_password_that_a_full_disk_left_empty_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "password").touch()
    server = EmbeddedValkey(tmp_path / "valkey", tmp_path / "door")
    server.start()
    try:
        async with connect(server.url) as client:
            assert await client.ping()
    finally:
        server.stop()
