"""Environment images with packages beside the default ones: links to the built image, and files of the tests' own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from flowray.sandbox.image import Image, _digest, default_lock, find_image


@contextmanager
def image_with(*distributions: str) -> Iterator[Image]:
    """The default image and these pure Python distributions, which the tests' own environment has."""
    default = find_image()
    # Beside the image, so that its files can be linked.
    with TemporaryDirectory(prefix=".tests-", dir=default.site_packages.parent.parent) as folder:
        packages = Path(folder) / "site-packages"
        shutil.copytree(default.site_packages, packages, copy_function=os.link)
        for name in distributions:
            _add(name, packages)
        digest = f"{default.digest[:20]}-{'-'.join(distributions)}"
        yield replace(default, name="tests", digest=digest, site_packages=packages)


def _add(name: str, packages: Path) -> None:
    added = distribution(name)
    for file in added.files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = packages / str(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(added.locate_file(file)), target)


@contextmanager
def images_with(lock: Path, *distributions: str) -> Iterator[Path]:
    """A folder of images as `FLOWRAY_IMAGES` names it: the default one, and that of a new `lock` with more packages."""
    default, found = find_image(), default_lock()
    lock.write_text(f"{found.read_text()}\n# and {', '.join(distributions)}\n")
    with image_with(*distributions) as image:
        root = image.site_packages.parent / "images"
        own = root / f"{lock.stem}-{_digest(lock)[:12]}"
        own.mkdir(parents=True)
        (root / default.site_packages.parent.name).symlink_to(default.site_packages.parent)
        facts = {"name": lock.stem, "digest": _digest(lock), "site_packages": str(image.site_packages)}
        facts |= {"python": str(image.python), "base_prefix": str(image.base_prefix)}
        (own / "image.json").write_text(json.dumps(facts))
        yield root
