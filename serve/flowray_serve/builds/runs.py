"""The run service of a process that starts runs: a gateway, and an engine for the runs that its runs start."""

from __future__ import annotations

from functools import partial

from flowray.engine.loop import Engine
from flowray_serve.admission.runs import AdmittedEngine
from flowray_serve.aftermath import Aftermath
from flowray_serve.builds.plant import Plant, defaults_of, objects_of
from flowray_serve.library import Library
from flowray_serve.parts.identity import Identity
from flowray_serve.parts.queueing import Queueing
from flowray_serve.parts.sharing import Sharing
from flowray_serve.queueing.keeping import Keeping
from flowray_serve.run_service import RunService


def run_service(
    plant: Plant, identity: Identity, sharing: Sharing, queueing: Queueing, *, engine: Engine, library: Library
) -> RunService:
    """Return what prepares runs of `library` and has `engine` drive them, within what tenants may have."""
    return RunService(
        library=library,
        engine=AdmittedEngine(engine, sharing.runs),
        objects=objects_of(plant),
        journal=queueing.journal,
        defaults=partial(defaults_of, plant.settings),
        tenant_of=identity.tenants.find,
        variables=identity.variables,
        aftermath=Aftermath(
            journal=queueing.journal,
            on_pause=queueing.answering.pause,
            on_end=Keeping(queueing.requests, rule=plant.settings.gateway.keep).over,
        ),
    )
