"""Where a node's packages are: the pools whose images have what its source imports, and what a run then declares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from flowray.component.adapters import adapter_of, adapters
from flowray.component.frontend import imports_of
from flowray.component.imports import UNREAD, Imports, imported_by, sources_read
from flowray.component.spec import ComponentSpec
from flowray.errors import MissingPackageError
from flowray.flow.check import Finding
from flowray.flow.shape import clipped
from flowray.flow.types import Flow, Node, NodeId
from flowray.plan.types import Pool

_NAMED = 5
# Distributions that are called otherwise than what they bring, as far as flows meet them.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "haystack": "haystack-ai",
    "googleapiclient": "google-api-python-client",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def imports_of_nodes(nodes: Collection[Node], specs: Mapping[str, ComponentSpec]) -> Mapping[NodeId, Imports]:
    """Return what the nodes' sources import, with what Langflow noted of it."""
    read = _read(nodes)
    return {node.id: _with_noted(read[node.id], node, specs) for node in nodes}


def _with_noted(read: Imports, node: Node, specs: Mapping[str, ComponentSpec]) -> Imports:
    spec = specs.get(node.code_digest or "")
    metadata = node.raw["data"]["node"].get("metadata") if node.raw else None
    noted = {*imports_of(metadata), *(spec.imports if spec else ())}
    return replace(read, later=(read.later | noted) - read.needed)


def missing_packages(pools: Sequence[Pool], flow: Flow) -> list[Finding]:
    """Raise a `MissingPackageError` for the first node that no pool can load.

    Return a warning for each node that may import modules later, in a function, which the pool that loads it lacks.
    """
    doubts: list[Finding] = []
    read = _read(flow.nodes) if pools else {}
    for node in flow.nodes if pools else ():
        imports = read[node.id]
        if not imports.all:
            continue
        best = stocked(pools, {node.id: imports})[0]
        if lacking := sorted({module.partition(".")[0] for module in _lacking(best, imports.later)}):
            doubts.append(_doubt(node, lacking))
    return doubts


def stocked(pools: Sequence[Pool], imports: Mapping[NodeId, Imports]) -> list[Pool]:
    """Return the pools whose images have all that these nodes need; those with all that they may import, if any."""
    needed = frozenset[str]().union(*(one.needed for one in imports.values()))
    loading = [pool for pool in pools if not any(_lacking(pool, needed))]
    if not loading and pools:
        raise _missing(pools, imports)
    every = frozenset[str]().union(*(one.all for one in imports.values()))
    return [pool for pool in loading if not any(_lacking(pool, every))] or loading


def _read(nodes: Collection[Node]) -> Mapping[NodeId, Imports]:
    """Return what the texts of nodes import: a component's source, or what an adapter reads."""
    read = sources_read(nodes)
    return {node.id: _imports(node, is_read=node.code_digest in read) for node in nodes}


def _imports(node: Node, *, is_read: bool) -> Imports:
    adapter = adapter_of(node)
    if adapter is not None:
        return adapter.imports(node)
    if node.code is None:
        return Imports()
    return imported_by(node.code) if is_read else UNREAD


def declared(pools: Sequence[Pool], used: Mapping[str, Collection[Imports]]) -> tuple[str, ...] | None:
    """Return the distributions that a run may import beside those of the default image; None when nobody knows.

    `used` are the imports of the nodes by the name of their pool.
    """
    found: set[str] = set()
    stocks = {pool.name: pool.stock for pool in pools}
    for name, imports in used.items():
        stock = stocks.get(name)
        if stock is None or not all(one.whole for one in imports):
            return None
        found |= stock.distributions(module for one in imports for module in one.all) - stock.always
    return tuple(sorted(found))


def _lacking(pool: Pool, modules: Iterable[str]) -> Iterator[str]:
    """Yield the modules that a pool's image does not have; what an image has that nobody looked into, it has all."""
    if pool.stock is not None:
        yield from (module for module in sorted(modules) if not pool.stock.has(module))


def _doubt(node: Node, modules: Sequence[str]) -> Finding:
    names = ", ".join(f"`{clipped(module)}`" for module in modules[:_NAMED])
    more = f" and {len(modules) - _NAMED} more" if len(modules) > _NAMED else ""
    said = f"`{clipped(node.id)}` may import {names}{more} while it runs, which no pool's image has."
    return Finding(severity="warning", code="package_not_there", message=said, node=node.id, field="code")


def _missing(pools: Sequence[Pool], imports: Mapping[NodeId, Imports]) -> MissingPackageError:
    """Say which node needs which module, and the pool setting that would serve it."""
    for node, one in imports.items():
        nowhere = [module for module in sorted(one.needed) if all(any(_lacking(pool, [module])) for pool in pools)]
        if nowhere:
            return MissingPackageError(_said(pools, node, nowhere[0]), node)
    # Each module is somewhere, but not all in one place, and these nodes share a sandbox.
    names = " and ".join(f"`{clipped(node)}`" for node, one in imports.items() if any(_lacking(pools[0], one.needed)))
    modules = ", ".join(f"`{module}`" for one in imports.values() for module in _lacking(pools[0], one.needed))
    said = f"{names} need {modules} in one sandbox, and no pool's image has all of it. {_remedy(pools, modules)}"
    return MissingPackageError(said, next(iter(imports)))


def _said(pools: Sequence[Pool], node: NodeId, module: str) -> str:
    looked = ", ".join(f"`{pool.name}` ({pool.stock.image})" for pool in pools if pool.stock)
    top = module.partition(".")[0]
    said = f"Node `{clipped(node)}` imports `{clipped(module)}`, which no pool's image has; there are {looked}."
    images = {adapter.shape.framework: adapter.shape.image for adapter in adapters().values()}
    there = any(pool.stock.has(top) for pool in pools if pool.stock)
    if top in images and not there:
        return f"{said} {_shipped(pools, images[top])}"
    return f"{said} {_remedy(pools, _line_for(module))}"


def _line_for(module: str) -> str:
    """Say what to add to a lock, as far as the module's name tells it."""
    top, *rest = module.split(".")
    if top == "haystack_integrations":
        return f"the distribution that brings `{clipped(module)}`"
    if top == "llama_index":
        # One distribution for each part, called after it.
        name = "-".join(["llama-index", *rest[:2]]).replace("_", "-")
        return f"`{clipped(name)}==VERSION`"
    return f"`{clipped(_DISTRIBUTIONS.get(top, top))}==VERSION`"


def _shipped(pools: Sequence[Pool], image: str) -> str:
    setting = f'FLOWRAY_POOLS=\'{{"{pools[0].name}": {{}}, "{image}": {{"image": "{image}"}}}}\''
    return (
        f"FlowRay ships a lock of an image that has it: build it (flowray image build {image}), and give it a pool "
        f"beside yours: {setting}."
    )


def _remedy(pools: Sequence[Pool], line: str) -> str:
    pool = pools[0].name
    return (
        f"Add {line} to the lock of a pool's image, build it (flowray image build --lock LOCK), and name it in the "
        f'setting of the pool: FLOWRAY_POOLS=\'{{"{pool}": {{"image": "LOCK"}}}}\'.'
    )
