"""`flowray doctor`: what this machine has for FlowRay, and what it lacks."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, say, say_json
from flowray_serve.home import Home

if TYPE_CHECKING:
    from flowray_serve.checkup import Finding
    from flowray_serve.settings import Settings


def command(*, as_json: AsJson = False) -> None:
    """Look at Python, Ray, the stores, the environment image and the walls. Exit code 1 when something is wrong."""
    from flowray_serve.settings import read_settings

    settings = read_settings()
    findings = asyncio.run(_look(settings, as_json=as_json))
    if as_json:
        say_json([asdict(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


async def _look(settings: Settings, *, as_json: bool) -> list[Finding]:
    from flowray_serve.checkup import checkup

    findings = []
    async for finding in checkup(settings, Home(settings.home.expanduser().absolute())):
        findings.append(finding)
        if not as_json:
            _tell(finding)
    return findings


def _tell(finding: Finding) -> None:
    say(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name:15} {finding.fact}")
    if finding.remedy:
        say(f"{'':22}{finding.remedy}")
