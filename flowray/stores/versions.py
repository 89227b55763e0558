"""The versions of flows beside the current one: listed, named by tags, kept aside and forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flowray.engine.codec import dumps
from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.flow.types import Json
from flowray.stores.generations import Generations
from flowray.stores.history import CURRENT, History, is_taken_by_others, resolved
from flowray.stores.latches import Latches
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.records import FlowRecord, VersionRecord
from flowray.stores.shelves import Shelves, head_key, read_head
from flowray.stores.tags import Canary, Tag, Tags


class UnknownVersionError(NotFoundError):
    """The flow is there, and a version of that name is not."""

    code = "version_not_found"


class VersionInUseError(ConflictError):
    """A version that is current, or that a tag stands at, is not forgotten."""

    code = "version_in_use"


class Versions:
    """What a flow was and is called. What a name stands for is remembered for as long as nothing changes."""

    def __init__(
        self, objects: ObjectStore, generations: Generations, shelves: Shelves, *, capacity: int = 1_000
    ) -> None:
        self.history = History(objects)
        self._objects = objects
        self._generations = generations
        self._shelves = shelves
        self._tags = Tags(objects)
        self._latches = Latches(objects)
        self._meant: OrderedDict[tuple[str, str, str], tuple[str, Tag | None]] = OrderedDict()
        self._capacity = capacity

    async def all(self, tenant: str, flow_id: str) -> tuple[VersionRecord, ...]:
        """The versions of a flow, the newest first."""
        return await self.history.all(tenant, flow_id)

    async def numbers(self, tenant: str) -> tuple[tuple[str, int], ...]:
        """Each version of each flow, by the flow's id and its number; those that were forgotten, too."""
        return await self.history.numbers(tenant)

    async def tags(self, tenant: str, flow_id: str) -> Mapping[str, Tag]:
        """The flow's tags, and where each stands."""
        return await self._tags.all(tenant, flow_id)

    async def resolve(self, tenant: str, flow_id: str, name: str, *, whom: str | None = None) -> str | None:
        """The version that a name means; None when it means none.

        Of a tag with a canary, `whom` says for whom it is asked: some of them get the canary. Without, nobody does.
        """
        meant = await self._means(tenant, flow_id, name)
        if meant is None:
            return None
        if whom is not None and meant.canary is not None and meant.canary.takes(whom):
            return meant.canary.version
        return meant.version

    async def _means(self, tenant: str, flow_id: str, name: str) -> Tag | None:
        generation = await self._generations.current(tenant)
        key = (tenant, flow_id, name)
        before = self._meant.get(key)
        if before is not None and before[0] == generation:
            self._meant.move_to_end(key)
            return before[1]
        head = (await self._shelves.of(tenant)).flows.get(flow_id)
        if head is None or head.is_deleted:
            return None
        tags = await self.tags(tenant, flow_id)
        if name in tags:
            found: Tag | None = tags[name]
        else:
            history = () if name == CURRENT else await self.all(tenant, flow_id)
            version = resolved(name, history, head.version)
            found = None if version is None else Tag(version=version)
        self._meant[key] = (generation, found)
        if len(self._meant) > self._capacity:
            self._meant.popitem(last=False)
        return self._meant[key][1]

    async def tag(self, tenant: str, flow_id: str, tag: str, version: str, *, canary: Canary | None = None) -> None:
        """Have a tag stand at a version, and send a share of its runs to another one; a canary from before ends.

        `UnknownVersionError` when one of the two was forgotten meanwhile: the tag is then as it was.
        """
        if is_taken_by_others(tag):
            raise InvalidRequestError(f"`{tag[:80]}` cannot be a tag: it would be taken for a version's own name.")
        before, wanted = (await self.tags(tenant, flow_id)).get(tag), Tag(version=version, canary=canary)
        await self._tags.put(tenant, flow_id, tag, wanted)
        gone = await self._gone(tenant, flow_id, wanted)
        if gone:
            await self._put_back(tenant, flow_id, tag, before)
        await self._generations.renew(tenant)
        if gone:
            raise UnknownVersionError(f"Version `{gone[0][:12]}` of the flow `{flow_id}` was forgotten.")

    async def _gone(self, tenant: str, flow_id: str, tag: Tag) -> Sequence[str]:
        there = {one.version for one in await self.all(tenant, flow_id)}
        return [version for version in tag.versions if version not in there]

    async def _put_back(self, tenant: str, flow_id: str, tag: str, before: Tag | None) -> None:
        if before is None or await self._gone(tenant, flow_id, before):
            await self._tags.remove(tenant, flow_id, tag)
        else:
            await self._tags.put(tenant, flow_id, tag, before)

    async def untag(self, tenant: str, flow_id: str, tag: str) -> None:
        """Take a tag away."""
        if tag not in await self.tags(tenant, flow_id):
            raise NotFoundError(f"The flow has no tag `{tag[:80]}`.")
        await self._tags.remove(tenant, flow_id, tag)
        await self._generations.renew(tenant)

    async def keep(
        self, tenant: str, flow_id: str, version: str, document: Mapping[str, Json], *, description: str | None = None
    ) -> VersionRecord:
        """Keep a version without making it the flow."""
        async with self._latches.held(tenant, flow_id):
            head = await self._head(tenant, flow_id)
            if head is None or head.is_deleted:
                raise NotFoundError(f"There is no flow `{flow_id}` any more.")
            await self._objects.create(version_key(tenant, flow_id, version), dumps(dict(document)))
            images = document.get("images") or ()
            record = await self.history.add(
                tenant, flow_id, version, description=description, images=images, current=False
            )
        await self._generations.renew(tenant)
        return record

    async def describe(
        self, tenant: str, flow_id: str, record: VersionRecord, description: str | None
    ) -> VersionRecord:
        """Say something about a version; `UnknownVersionError` when it was forgotten."""
        async with self._latches.held(tenant, flow_id):
            _require_listed(record, await self.all(tenant, flow_id))
            changed = replace(record, description=description)
            await self.history.change(tenant, flow_id, changed)
        return changed

    async def forget(self, tenant: str, flow_id: str, record: VersionRecord) -> None:
        """Forget a version; its content stays as long as another number has it.

        What was only kept aside may go whatever it is called, as long as another number has the same content.
        """
        # Whoever makes the flow what it was writes the content before the number: in between, nothing holds it.
        async with self._latches.held(tenant, flow_id):
            await self._require_unused(tenant, flow_id, record)
            try:
                await self.history.forget(tenant, flow_id, record.number)
                if all(one.version != record.version for one in await self.all(tenant, flow_id)):
                    await self._forget_content(tenant, flow_id, record)
            finally:
                await self._generations.renew(tenant)

    async def _require_unused(self, tenant: str, flow_id: str, record: VersionRecord) -> None:
        listed = await self.all(tenant, flow_id)
        _require_listed(record, listed)
        if not record.current and any(_is_twin(one, record) for one in listed):
            return
        head = await self._head(tenant, flow_id)
        if head is not None and head.version == record.version:
            raise VersionInUseError(
                f"Version v{record.number} is what the flow is now. Publish or activate another one."
            )
        if tagged := await self._tagged(tenant, flow_id, record):
            raise _stands(tagged, record)

    async def _forget_content(self, tenant: str, flow_id: str, record: VersionRecord) -> None:
        # Who tags reads the history once the tag is set, and this the tags once the history is: one of both sees it.
        if tagged := await self._tagged(tenant, flow_id, record):
            await self.history.change(tenant, flow_id, record)
            raise _stands(tagged, record)
        await self._objects.delete(version_key(tenant, flow_id, record.version))

    async def _head(self, tenant: str, flow_id: str) -> FlowRecord | None:
        return await read_head(self._objects, head_key(tenant, flow_id))

    async def _tagged(self, tenant: str, flow_id: str, record: VersionRecord) -> Mapping[str, Tag]:
        tags = await self.tags(tenant, flow_id)
        return {name: tag for name, tag in tags.items() if record.version in tag.versions}

    async def forget_all(self, tenant: str, flow_id: str) -> None:
        """Forget the versions of a flow with the flow."""
        await self._objects.clear(path(tenant, "versions", flow_id))
        await self.history.forget_all(tenant, flow_id)
        await self._tags.forget_all(tenant, flow_id)


def _is_twin(one: VersionRecord, other: VersionRecord) -> bool:
    return one.version == other.version and one.number != other.number


def _require_listed(record: VersionRecord, listed: Sequence[VersionRecord]) -> None:
    # The number alone may be that of another flow, which has the id since.
    if all((one.number, one.version) != (record.number, record.version) for one in listed):
        raise UnknownVersionError(f"Version v{record.number} was forgotten.")


def _stands(tags: Mapping[str, Tag], record: VersionRecord) -> VersionInUseError:
    name, tag = next(iter(tags.items()))
    if tag.version == record.version:
        return VersionInUseError(f"The tag `{name}` stands at version v{record.number}. Move the tag first.")
    return VersionInUseError(f"Version v{record.number} is the canary of the tag `{name}`. End the canary first.")


def version_key(tenant: str, flow_id: str, version: str) -> str:
    """Where a version's document is."""
    return path(tenant, "versions", flow_id, f"{version}.json")
