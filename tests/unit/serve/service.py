"""A whole service in memory: real routes and run service over kept-in-dict stores and steps that play a script."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
from starlette.types import ASGIApp

from flowray.component.check import check
from flowray.component.spec import ComponentSpec
from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.failures import failure
from flowray.engine.journals import PatientJournal
from flowray.engine.loop import Engine
from flowray.engine.ports import RunRequest
from flowray.errors import InvalidRequestError
from flowray.observe.meter import Meter
from flowray.observe.totals import MemoryTotals
from flowray.plan.packages import missing_packages
from flowray.plan.types import Pool
from flowray.quotas.memory_ledger import MemoryLedgers
from flowray.quotas.quota import Quota
from flowray.quotas.usage import MemoryUsageBook, UsageBook
from flowray.runner.runner import EditorJob
from flowray.stores.archive import Archive
from flowray.stores.chats import MemoryChats
from flowray.stores.dead_letters import DeadLetters
from flowray.stores.documents import Documents
from flowray.stores.drawer import Drawer
from flowray.stores.due import MemoryDueList
from flowray.stores.generations import MemoryGenerations
from flowray.stores.import_counts import MemoryImportCounts
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.memory_queue import MemoryQueue
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.owed import Owed
from flowray.stores.places import MemoryPlaces
from flowray.stores.records import FlowRecord, ProjectRecord, UploadRecord
from flowray.stores.requests import Requests
from flowray.stores.sealing import SecretSeal
from flowray.stores.tenant_data import TenantData
from flowray.tenancy.audit import Audit, MemoryAuditRecords
from flowray.tenancy.key_record import MemoryKeyRecords
from flowray.tenancy.key_uses import KeyUses, MemoryKeyUseRecords
from flowray.tenancy.keyring import Keyring
from flowray.tenancy.keys import digest_of
from flowray.tenancy.news import MemoryNews, News
from flowray.tenancy.permissions import ROLES
from flowray.tenancy.principal import Principal, Role
from flowray.tenancy.sealing import MasterKeys, Sealer, new_master_key
from flowray.tenancy.tenant import Tenant
from flowray.tenancy.tenants import MemoryTenantRecords, Tenants
from flowray.tenancy.variable_record import MemoryVariableRecords
from flowray.tenancy.variables import Variables
from flowray_serve.admission.bounded import kept_in
from flowray_serve.admission.shares import Shares
from flowray_serve.admission.spending import BudgetKeeper
from flowray_serve.admission.terms import Settled
from flowray_serve.aftermath import Aftermath
from flowray_serve.auth import Auditor, Authenticator, Gate
from flowray_serve.auth.issuers import Issuers
from flowray_serve.builds.plant import images_of, planned
from flowray_serve.key_service import KeyService
from flowray_serve.library import Library
from flowray_serve.metrics.exposition import Exposition
from flowray_serve.metrics.samples import Samples
from flowray_serve.preloading import Preloading
from flowray_serve.projects import Projects
from flowray_serve.publishing import Publisher
from flowray_serve.queueing.acceptance import Acceptance
from flowray_serve.queueing.answering import Answering
from flowray_serve.queueing.carry import Carrier
from flowray_serve.queueing.driver import Driver, Pace
from flowray_serve.queueing.endings import Endings
from flowray_serve.queueing.jobs import Jobs
from flowray_serve.queueing.keeping import Keeping
from flowray_serve.queueing.owing import Owing
from flowray_serve.queueing.recovery import Record, Recovery
from flowray_serve.queueing.redriving import Redriving
from flowray_serve.queueing.reruns import Reruns
from flowray_serve.queueing.stopping import Stopping
from flowray_serve.run_service import RunService, TenantDefaults
from flowray_serve.services import BodyLimits, Services
from tests.unit.serve.flows import message_result
from tests.unit.serve.one_app import app_of

KEY, OTHER_KEY = "key-of-default", "key-of-other"
KEYS_BY_ROLE: Mapping[Role, str] = {role: f"key-of-a-{role}" for role in ROLES} | {"admin": KEY}
Script = Callable[[RunRequest, StartStep], AsyncIterator[ev.StepEvent]]


class MemoryCallers:
    """Keys of the tenant `default`, one for each role, and one of `other`; then those that were issued."""

    def __init__(self, issued: Keyring | None = None) -> None:
        self._issued = issued
        keys = {key: Principal(tenant="default", roles=frozenset({role})) for role, key in KEYS_BY_ROLE.items()}
        keys[OTHER_KEY] = Principal(tenant="other", roles=frozenset({"admin"}))
        self._keys = {digest_of(key): principal for key, principal in keys.items()}

    async def caller(self, key_digest: str) -> Principal | None:
        found = self._keys.get(key_digest)
        return await self._issued.caller(key_digest) if found is None and self._issued else found


def known_tenants(news: News | None = None) -> Tenants:
    records = {name: Tenant(id=name).as_json() for name in ("default", "other")}
    return Tenants(MemoryTenantRecords(records), news or MemoryNews())


class MemoryFlows(Documents):
    """Flows in memory, and how often a canvas was read and all were listed."""

    def __init__(self, objects: ObjectStore) -> None:
        super().__init__(objects, MemoryGenerations())
        self.reads = 0
        self.lists = 0

    async def list(self, tenant: str) -> tuple[FlowRecord, ...]:
        self.lists += 1
        return await super().list(tenant)

    async def read(self, tenant: str, flow_id: str, *, version: str | None = None) -> FlowRecord | None:
        self.reads += 1
        return await super().read(tenant, flow_id, version=version)


class MemoryRegistry:
    """Knows nothing at first. Source that says `no_room` cannot be loaded, source that says `slow` takes for ever."""

    def __init__(self) -> None:
        self.known: dict[str, ComponentSpec] = {}

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        return {one: self.known[one] for one in digests if one in self.known}

    async def register(self, code: str, name: str) -> ComponentSpec:
        if "slow" in code:
            await asyncio.Event().wait()
        if "no_room" in code:
            raise InvalidRequestError("No sandbox is free.")
        digest = hashlib.sha256(code.encode()).hexdigest()
        spec = ComponentSpec(digest=digest, name=name, display_name=name, fields={}, outputs=(), origin="sandbox")
        self.known[digest] = spec
        return spec


class ScriptedExaminer:
    """A sandbox for editors that says what it was asked; source that raises is the component's fault."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def __call__(self, job: EditorJob, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append((job, facts))
        if "raise" in str(facts.get("code", facts.get("spec"))):
            finished = ev.RunFinished(status="failed", kind="component", error="no such thing", traceback="line 1")
            raise failure(ev.RunId(""), finished)
        match job:
            case "validate":
                return {"imports": {"errors": []}, "function": {"errors": []}}
            case "prompt":
                return {"input_variables": ["who"], "frontend_node": facts["frontend_node"]}
            case "expand":
                return {"flow": {"name": "Drawn"}}
            case _:
                return {"frontend": {"display_name": "Own", "template": facts.get("template", {})}, "name": "Own"}


class ScriptedSteps:
    """A step's sandbox that says what the script says."""

    def __init__(self) -> None:
        self.script: Script = echo
        self.requests: list[RunRequest] = []

    async def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[ev.StepEvent], None]:
        self.requests.append(request)
        yield [ev.StepStarted(step=step.step, attempt=step.attempt, runner="node-a/1", queued_s=0.5)]
        async for event in self.script(request, step):
            yield [event]
            if isinstance(event, ev.StepFailed | ev.StepPaused):
                return
        yield [ev.StepFinished(step=step.step, took_s=0.1)]


async def echo(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """Every node says the input."""
    for node in request.plan.by_id[step.step].nodes:
        yield ev.NodeStarted(node=node)
        yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, request.input_value or ""))


class NoRuns:
    async def rebuild(self) -> int:
        return 0


class NoMarks:
    async def is_filled(self, what: str) -> bool:
        return True

    async def begin(self, what: str) -> str:
        return "begun"

    async def note_filled(self, what: str, begun: str) -> bool:
        return True

    async def server(self) -> str:
        return "one"

    async def mine(self, work: str, *, by: str, for_s: int) -> bool:
        return True


class Held:
    """A step that waits in its sandbox until it is let go on."""

    def __init__(self) -> None:
        self.began, self.go_on, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        self.began.set()
        try:
            await self.go_on.wait()
        finally:
            self.ended.set()
        for node in request.plan.by_id[step.step].nodes:
            yield ev.NodeStarted(node=node)


@dataclass
class Service:
    """The service and what stands behind it."""

    flows: MemoryFlows
    registry: MemoryRegistry
    journal: MemoryJournal
    steps: ScriptedSteps
    examiner: ScriptedExaminer
    callers: MemoryCallers
    services: Services
    queue: MemoryQueue
    objects: ObjectStore
    app: ASGIApp = field(init=False)
    http: httpx.AsyncClient = field(init=False)

    @asynccontextmanager
    async def engine(self, name: str = "engine-1", **pace: Any) -> AsyncIterator[Driver]:
        """An engine at work on the queue."""
        engine = Engine(PatientJournal(self.journal), self.steps, name=name)
        carrier = Carrier(self.queue, self.services.jobs.requests, self.journal, engine, Archive(self.objects))
        driver = Driver(self.queue, self.queue, carrier, name=name, pace=Pace(**{"drain_s": 0.05, **pace}))
        driver.start()
        try:
            yield driver
        finally:
            await driver.close()

    async def publish(self, document: Mapping[str, Any]) -> str:
        response = await self.http.post("/api/v1/flows/", json=document)
        assert response.status_code == 201, response.text
        flow_id: str = response.json()["id"]
        return flow_id


def canvas(*nodes: Mapping[str, Any], wires: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """A Langflow export of these nodes."""
    edges = [
        {
            "source": source,
            "target": target,
            "data": {
                "sourceHandle": {"dataType": "x", "id": source, "name": "message", "output_types": ["Message"]},
                "targetHandle": {"fieldName": "input_value", "id": target, "inputTypes": ["Message"], "type": "str"},
            },
        }
        for source, target in wires
    ]
    return {"name": "Echo", "description": "Says it again", "data": {"nodes": list(nodes), "edges": edges}}


def drawn(node_id: str, *, code: str | list[str] | None = None, **fields: Mapping[str, Any]) -> dict[str, Any]:
    """A node as the canvas has it."""
    component = node_id.partition("-")[0]
    template: dict[str, Any] = {
        "_type": "Component",
        "input_value": {"type": "str", "value": "", "input_types": ["Message"], "name": "input_value"},
        **fields,
    }
    template["code"] = {"type": "code", "value": f"class {component}: ..." if code is None else code}
    outputs = [{"name": "message", "types": ["Message"], "method": "say", "selected": "Message"}]
    node = {"display_name": component, "template": template, "outputs": outputs, "base_classes": ["Message"]}
    return {"id": node_id, "type": "genericNode", "data": {"id": node_id, "type": component, "node": node}}


ECHO = canvas(drawn("ChatInput-1"), drawn("ChatOutput-1"), wires=[("ChatInput-1", "ChatOutput-1")])


def service(  # noqa: PLR0913 - what tests vary
    *,
    limits: BodyLimits | None = None,
    defaults: TenantDefaults | None = None,
    patience_s: float = 30.0,
    sync_s: float = 30.0,
    stopped_s: float = 2.0,
    pools: Sequence[Pool] = (),
    issuers: Issuers | None = None,
    objects: ObjectStore | None = None,
) -> Service:
    objects = objects or open_objects("memory:")
    flows, registry, journal = MemoryFlows(objects), MemoryRegistry(), MemoryJournal()
    keyring, uses = Keyring(MemoryKeyRecords(), MemoryNews()), KeyUses(MemoryKeyUseRecords())
    callers = MemoryCallers(keyring)
    sealer = Sealer(MasterKeys.of(new_master_key("m1")))
    variables = Variables(MemoryVariableRecords(), sealer, MemoryNews())
    audit = Audit(MemoryAuditRecords(), sealer)
    steps, tenants = ScriptedSteps(), known_tenants()
    examiner = ScriptedExaminer()
    engine = Engine(journal, steps, name="test", durability="strict")
    known: dict[str, Any] = {"store": flows, "registry": registry, "planner": partial(planned, pools), "checker": check}
    library = Library(**known)
    queue = MemoryQueue(journal)
    requests = Requests(objects, SecretSeal(b"secret"))
    answering = Answering(queue, requests, journal)
    runs = RunService(
        library=library,
        engine=engine,
        objects=objects,
        journal=journal,
        defaults=lambda _: defaults or TenantDefaults(),
        tenant_of=tenants.find,
        variables=variables,
        aftermath=Aftermath(journal=journal, on_pause=answering.pause, on_end=Keeping(requests, rule="failed").over),
    )
    acceptance = Acceptance(requests, queue, journal, objects)
    letters, owing = DeadLetters(objects), Owing(Owed(objects), MemoryDueList())
    jobs = Jobs(
        acceptance=acceptance,
        redriving=Redriving(letters, requests, acceptance, owing),
        recovery=Recovery(
            queue,
            Record(requests=requests, archive=Archive(objects), owing=owing),
            acceptance,
            Endings(requests, letters, owing),
            NoRuns(),
            NoMarks(),
            name="test",
            clock=lambda: 4e9,
        ),
        queue=queue,
        secret=b"secret",
        private_hosts=("127.0.0.2",),
        stopping=Stopping(runs, queue, queue, requests, journal, engine, name="test", within_s=stopped_s),
        requests=requests,
        answering=answering,
        reruns=Reruns(requests, acceptance, journal),
        journal=journal,
        objects=objects,
        sync_s=sync_s,
    )
    authenticator = Authenticator(callers, tenants, issuers=issuers, used=uses.note)
    services = Services(
        authenticator=authenticator,
        gate=Gate(identifies=authenticator, auditor=Auditor(audit)),
        audit=audit,
        tenants=tenants,
        tenant_data=TenantData(objects, None),
        keys=KeyService(keyring, uses),
        variables=variables,
        store=flows,
        library=library,
        publisher=Publisher(
            **known,
            missing_packages=partial(missing_packages, pools),
            images_of=partial(images_of, pools),
            patience_s=patience_s,
        ),
        runs=runs,
        jobs=jobs,
        journal=journal,
        run_index=journal,
        projects=Projects(drawer=Drawer(objects, "projects", ProjectRecord), store=flows),
        uploads=Drawer(objects, "uploads", UploadRecord),
        examine=examiner,
        chats=MemoryChats(),
        preloading=Preloading((), MemoryImportCounts()),
        shares=(shares := shares_of(tenants, objects=objects, queue=queue)),
        meter=Meter(totals := MemoryTotals()),
        exposition=Exposition(totals=totals, samples=samples_of(shares, queue)),
        limits=limits or BodyLimits(),
        version="0.1.0",
    )
    made = Service(flows, registry, journal, steps, examiner, callers, services, queue, objects)
    made.app = app_of(services)
    transport = httpx.ASGITransport(app=made.app, raise_app_exceptions=False)
    made.http = httpx.AsyncClient(transport=transport, base_url="http://flowray.test", headers={"x-api-key": KEY})
    return made


def shares_of(
    tenants: Tenants,
    book: UsageBook | None = None,
    *,
    objects: ObjectStore | None = None,
    queue: MemoryQueue | None = None,
) -> Shares:
    """The shares of tenants that run nothing."""
    settled, book = Settled(tenants, quota=Quota(), rates={}), book or MemoryUsageBook()
    keeper = BudgetKeeper(book, settled.budgets, _unheard)
    ledger = MemoryLedgers().holder("test")
    return Shares(
        standing=ledger.standing,
        queued=(queue or MemoryQueue(MemoryJournal())).length,
        kept=partial(kept_in, objects or open_objects("memory:")),
        terms=settled.terms,
        rates=settled.rates,
        budgets=settled.budgets,
        used=keeper.used,
        book=book,
    )


def samples_of(shares: Shares, queue: MemoryQueue) -> Samples:
    """What goes on of the tenants that there are, with no Runner."""

    async def tenants() -> Sequence[str]:
        return ["default", "other"]

    return Samples(
        tenants=tenants,
        standing=shares.standing,
        terms=shares.terms,
        queues=queue,
        runners=MemoryPlaces(),
        pools=("default",),
        version="0.1.0",
    )


async def _unheard(*_: object) -> None:
    """Tell nobody."""
