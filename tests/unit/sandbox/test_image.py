import json
from pathlib import Path

import pytest

from flowray.errors import ImageError
from flowray.sandbox import image
from flowray.sandbox.image import build_image, find_image


def lock_of(folder: Path, text: str = "") -> Path:
    lock = folder / "extra.txt"
    lock.write_text(text)
    return lock


def test_an_image_that_is_not_built_names_the_command_that_builds_it(tmp_path: Path) -> None:
    lock = lock_of(tmp_path)

    with pytest.raises(ImageError, match="flowray image build"):
        find_image(lock, tmp_path / "images")


def test_an_image_that_was_built_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of(tmp_path)
    monkeypatch.setattr(image, "_install", lambda *_: None)

    built = build_image(lock, tmp_path / "images")

    assert find_image(lock, tmp_path / "images") == built
    assert built.site_packages.is_dir()


def test_another_lock_is_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_install", lambda *_: None)

    first = build_image(lock_of(tmp_path, "a==1"), tmp_path / "images")
    second = build_image(lock_of(tmp_path, "a==2"), tmp_path / "images")

    assert first.digest != second.digest


def test_a_build_that_fails_leaves_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ImageError("no network")

    lock = lock_of(tmp_path)
    monkeypatch.setattr(image, "_install", fail)

    with pytest.raises(ImageError, match="no network"):
        build_image(lock, tmp_path / "images")

    assert list((tmp_path / "images").iterdir()) == []


def test_a_damaged_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of(tmp_path)
    monkeypatch.setattr(image, "_install", lambda *_: None)
    built = build_image(lock, tmp_path / "images")
    (built.site_packages.parent / "image.json").write_text(json.dumps({"name": "extra"}))

    with pytest.raises(ImageError, match="Remove"):
        find_image(lock, tmp_path / "images")


def test_a_lock_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.txt"):
        find_image(tmp_path / "nowhere.txt", tmp_path)
