"""`flowray image ...`: the environment images that sandboxes run in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowray_serve.cli.terminal import AsJson, Progress, say, say_json

app = typer.Typer(help="Environment images: what flows may import.", no_args_is_help=True)


@app.command()
def build(
    image_name: Annotated[
        Path | None,
        typer.Argument(metavar="[IMAGE]", help="The name of an image that FlowRay ships; default: `default`."),
    ] = None,
    *,
    lock: Annotated[Path | None, typer.Option(help="A hashed requirements lock of your own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Build an environment image, unless it is there."""
    from flowray.errors import InvalidRequestError
    from flowray.sandbox.image import build_image

    if lock is not None and image_name is not None:
        raise InvalidRequestError("Give the name of a shipped image or a lock, not both.")
    image = build_image(image_name or lock, progress=Progress(quiet=as_json))
    if as_json:
        say_json({"name": image.name, "digest": image.digest, "site_packages": image.site_packages})
        return
    say(f"The environment image `{image.name}` ({image.digest[:12]}) is ready.")


@app.command()
def show(
    image_name: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE]", help="An image's name or its lock; default: `default`.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say which image is there."""
    from flowray.sandbox.image import find_image

    image = find_image(image_name)
    if as_json:
        say_json({"name": image.name, "digest": image.digest, "site_packages": image.site_packages})
        return
    say(f"{image.name} {image.digest[:12]} {image.site_packages}")
