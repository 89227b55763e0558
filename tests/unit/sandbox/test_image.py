import json
import sys
from pathlib import Path

import pytest

from flowray.errors import ImageError
from flowray.sandbox import image
from flowray.sandbox.image import build_image, default_packages, find_image
from flowray.sandbox.interpreter import Interpreter, interpreters


@pytest.fixture(autouse=True)
def _only_the_own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Interpreter(python=Path(sys.executable), base_prefix=Path(sys.base_prefix))
    monkeypatch.setattr(image, "interpreters", lambda: iter([own]))


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


def test_a_python_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of(tmp_path)
    monkeypatch.setattr(image, "_install", lambda *_: None)
    record = build_image(lock, tmp_path / "images").site_packages.parent / "image.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "python": "/nowhere/python3.13"}))

    with pytest.raises(ImageError, match=r"/nowhere/python3\.13 is gone"):
        find_image(lock, tmp_path / "images")


def test_where_the_better_python_has_no_packages_the_own_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Interpreter(python=Path(sys.executable), base_prefix=Path(sys.base_prefix))
    better = Interpreter(python=Path("/better/python3.13"), base_prefix=Path("/better"))

    def install(_: Path, __: Path, interpreter: Interpreter, ___: object) -> None:
        if interpreter is better:
            raise ImageError("no wheel")

    monkeypatch.setattr(image, "interpreters", lambda: iter([better, own]))
    monkeypatch.setattr(image, "_install", install)

    built = build_image(lock_of(tmp_path), tmp_path / "images")

    assert built.python == own.python


def test_the_own_python_is_always_there_and_comes_last() -> None:
    *better, own = interpreters()

    assert own.python.is_file()
    assert all(one.python.is_file() for one in better)


def test_what_the_default_image_is_made_from_needs_no_declaration() -> None:
    assert {"lfx", "langchain-community", "jq"} <= set(default_packages())
