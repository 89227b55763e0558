"""The names of things in Redis; whatever belongs to a tenant has it in its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowray.errors import InvalidRequestError
from flowray.stores.paths import is_segment

# What is kept for all tenants together lies below these names, where a tenant of such an id would have its own.
SHARED = frozenset({"alive", "due", "filled", "filling", "guesses", "imports", "queue", "upkeep"})


@dataclass(frozen=True)
class Keys:
    """The keys below one prefix, so that several FlowRays can share a Redis."""

    prefix: str = "flowray:"

    @property
    def finished(self) -> str:
        """The runs whose journals wait for the archive, by the time they finished."""
        return f"{self.prefix}finished"

    @property
    def open(self) -> str:
        """The runs that are not over and may have nobody but their process, by the time they were accepted."""
        return f"{self.prefix}open"

    @property
    def news(self) -> str:
        """The stream that tells replicas which records have changed."""
        return f"{self.prefix}news"

    def imports(self, image: str) -> str:
        """How often runs imported which modules of an image: of all tenants together."""
        return f"{self.prefix}imports:{image}"

    def journal(self, tenant: str, run: str) -> str:
        """The stream of a run's events."""
        return self._of(tenant, "journal", run)

    def run(self, tenant: str, run: str) -> str:
        """What is to know about a run without reading its journal."""
        return self._of(tenant, "run", run)

    def runs(self, tenant: str) -> str:
        """A tenant's runs by the time they were accepted."""
        return self._of(tenant, "runs", "all")

    def queued(self, tenant: str) -> str:
        """A tenant's runs that wait for an engine, by when they were queued."""
        return self._of(tenant, "queue", "waiting")

    def flows(self, tenant: str) -> str:
        """What changes whenever one of the tenant's flows does."""
        return self._of(tenant, "flows", "generation")

    def key_uses(self, tenant: str) -> str:
        """How often each of a tenant's keys was used."""
        return self._of(tenant, "keys", "uses")

    def keys_used_at(self, tenant: str) -> str:
        """When each of a tenant's keys was used last."""
        return self._of(tenant, "keys", "used-at")

    @property
    def unsaved(self) -> str:
        """The chats of all tenants with something that is not in the object store yet."""
        return f"{self.prefix}unsaved"

    def chats(self, tenant: str) -> str:
        """A tenant's chats by when they were spoken in last."""
        return self._of(tenant, "chats", "all")

    def chats_known(self, tenant: str) -> str:
        """Whether those are all."""
        return self._of(tenant, "chats", "known")

    def chat(self, tenant: str, chat: str) -> str:
        """A chat's messages by id."""
        return self._of(tenant, "chat", chat)

    def chat_order(self, tenant: str, chat: str) -> str:
        """The same by when they were said."""
        return self._of(tenant, "chat-order", chat)

    def result(self, tenant: str, key: str) -> str:
        """What a node made of these inputs."""
        return self._of(tenant, "result", key)

    def waiting(self, tenant: str, chat: str) -> str:
        """What changed in a chat and is not in the object store yet."""
        return self._of(tenant, "chat-waiting", chat)

    def message(self, tenant: str, message: str) -> str:
        """Which chat a message is in."""
        return self._of(tenant, "message", message)

    def messages(self, tenant: str) -> str:
        """How the names of those begin."""
        return self._of(tenant, "message", "all").removesuffix("all")

    def usage(self, tenant: str, kind: str, name: str) -> str:
        """A part of what a tenant has used; those of all lie in one slot of a cluster."""
        return f"{self.prefix}{{usage}}:{tenant}:{kind}:{name}"

    @property
    def counted(self) -> str:
        """The tenants for whom something was counted."""
        return f"{self.prefix}{{metrics}}"

    def totals(self, tenant: str) -> str:
        """What was counted for a tenant, or for nobody that is known; those of all lie in one slot of a cluster."""
        return f"{self.counted}:{tenant}"

    def purged(self, tenant: str) -> str:
        """What is there while processes may still have numbers of a tenant that was purged."""
        return f"{self.counted}-purged:{tenant}"

    @property
    def ledger(self) -> str:
        """How all names of the quota ledger begin, which lies in one slot of a cluster."""
        return f"{self.prefix}{{ledger}}:"

    def all_of(self, tenant: str) -> Sequence[str]:
        """Patterns of everything that belongs to a tenant. What its running steps hold is not among it: it ends."""
        # A tenant from before such ids were refused leaves what it has there. Nobody can inherit it any more.
        own = self._of(tenant, "all", "all").removesuffix("all:all") + "*"
        apart = (self.usage(tenant, "*", "*"), self.totals(tenant), f"{self.ledger}terms:{tenant}")
        return apart if tenant in SHARED else (own, *apart)

    def _of(self, tenant: str, kind: str, name: str) -> str:
        if not (is_segment(tenant) and is_segment(name)):
            raise InvalidRequestError(f"`{tenant[:80]}` and `{name[:80]}` cannot both be ids.")
        return f"{self.prefix}{tenant}:{kind}:{name}"
