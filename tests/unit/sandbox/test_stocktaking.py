"""An image's folder of packages, read without importing any."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowray.sandbox.image import Image
from flowray.sandbox.stocktaking import normal, take_stock


@pytest.fixture
def image(tmp_path: Path) -> Image:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = tmp_path / "site-packages"
    python = Path(sys.base_prefix) / "bin" / f"python{version}"
    return Image(name="mine", digest="d", python=python, site_packages=packages, base_prefix=Path(sys.base_prefix))


def install(image: Image, name: str, *files: str, requires: tuple[str, ...] = ()) -> None:
    """A distribution whose modules would raise if they were imported."""
    for file in files:
        path = image.site_packages / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('imported')")
    about = image.site_packages / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    lines = [f"Requires-Dist: {one}" for one in requires]
    (about / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, ""]))
    (about / "RECORD").write_text("".join(f"{file},,\n" for file in (*files, f"{about.name}/METADATA")))


def test_import_names_lead_to_distributions(image: Image) -> None:
    install(image, "PyYAML", "yaml/__init__.py", "_yaml.cpython-313-x86_64-linux-gnu.so", "yaml/README.md")

    stock = take_stock(image)

    assert stock.names == {"yaml": {"pyyaml"}, "_yaml": {"pyyaml"}}
    assert stock.has("yaml.loader")


def test_a_shared_namespace_is_taken_apart(image: Image) -> None:
    install(image, "google-auth", "google/auth/__init__.py")
    install(image, "google-cloud-storage", "google/cloud/storage/__init__.py")

    stock = take_stock(image)

    assert stock.has("google.cloud.storage.client")
    assert not stock.has("google.maps")


def test_requirements_are_those_of_this_python_and_of_the_extras_that_are_asked_for(image: Image) -> None:
    install(
        image,
        "app",
        "app.py",
        requires=(
            "server[fast]>1",
            'old; python_version < "3"',
            'unasked; extra == "more"',
            "not.installed",
            "this is no requirement",
        ),
    )
    install(image, "server", "server.py", requires=('quick ; extra == "fast"', 'slow ; extra == "other"'))
    for name in ("old", "unasked", "quick", "slow"):
        install(image, name, f"{name}.py")

    assert take_stock(image).distributions(["app"]) == {"app", "server", "quick"}


def test_the_modules_of_its_python_are_there(image: Image) -> None:
    image.site_packages.mkdir()

    stock = take_stock(image)

    assert all(map(stock.has, ["os", "json.decoder", "sys", "_ctypes", "xml.etree"]))
    assert not stock.has("site-packages")


def test_packages_of_the_default_image_need_no_declaration(image: Image) -> None:
    install(image, "lfx", "lfx/__init__.py", requires=("httpx",))
    install(image, "httpx", "httpx/__init__.py")
    install(image, "boto3", "boto3/__init__.py")

    assert take_stock(image).always == {"lfx", "httpx"}


@pytest.mark.parametrize("name", ["Zope.Interface", "zope_interface", "zope--interface"])
def test_names_are_compared_as_packaging_tools_do(name: str) -> None:
    assert normal(name) == "zope-interface"
