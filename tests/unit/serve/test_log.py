"""What a process says is a file of JSON lines, and files of processes that are gone do not stay for ever."""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowray.tenancy.sealing import MasterKeys, new_master_key
from flowray_serve.builds.log import keep_log, log_folder
from flowray_serve.builds.plant import Plant
from flowray_serve.home import HomeError
from flowray_serve.settings import RaySettings, Settings

SPOKEN = ("flowray", "flowray_serve", "flowray_registry")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in map(logging.getLogger, SPOKEN)]
    yield
    for logger, handlers, level, propagate in before:
        for handler in logger.handlers:
            handler.close()
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def plant(folder: Path) -> Plant:
    return Plant(
        settings=Settings(),
        redis_url="",
        objects_url="memory:",
        secret=b"",
        master_keys=MasterKeys.of(new_master_key("m1")),
        run=folder,
        logs=folder,
    )


def elsewhere(folder: Path) -> Plant:
    """A service on a Ray cluster that others look after."""
    return replace(plant(folder), settings=Settings(ray=RaySettings(address="ray-head:6379")))


def test_a_line_says_what_is_known_beside_its_message(tmp_path: Path) -> None:
    keep_log(plant(tmp_path), "gateway-1")
    logging.getLogger("flowray.engine.drive").info("Run finished", extra={"action": "run_finished", "tenant": "acme"})
    logging.getLogger("flowray.engine.drive").debug("Too small")
    (line,) = (tmp_path / "gateway-1.log").read_text().splitlines()
    said = json.loads(line)
    assert (said["severity"], said["message"], said["action"], said["tenant"]) == (
        "INFO",
        "Run finished",
        "run_finished",
        "acme",
    )


def test_logs_on_anothers_cluster_are_for_their_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = log_folder(elsewhere(tmp_path))

    assert folder == tmp_path / f"flowray-logs-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_logs_on_anothers_cluster_follow_no_link_that_somebody_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"flowray-logs-{os.getuid()}").symlink_to(tmp_path, target_is_directory=True)

    with pytest.raises(HomeError, match="TMPDIR"):
        log_folder(elsewhere(tmp_path))


def test_files_that_nobody_has_written_for_weeks_are_removed(tmp_path: Path) -> None:
    old, young = tmp_path / "gateway-0.log.2", tmp_path / "zygote-0.log"
    for file in (old, young):
        file.touch()
    os.utime(old, (0, time.time() - 15 * 86_400))
    keep_log(plant(tmp_path), "gateway-1")
    assert (old.exists(), young.exists()) == (False, True)


def test_a_full_file_makes_way_for_a_new_one(tmp_path: Path) -> None:
    keep_log(plant(tmp_path), "gateway-1")
    said = logging.getLogger("flowray.engine.drive")
    full = Settings().logs.file_mib * 1024 * 1024

    for _ in range(2):
        said.info("x" * full)
    said.info("The last line")

    lines = (tmp_path / "gateway-1.log").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["The last line"]
    assert all((tmp_path / f"gateway-1.log.{number}").stat().st_size > full for number in (1, 2))
