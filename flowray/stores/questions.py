"""Questions for the quota ledger that were not asked yet, and whose come first when there are many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, the facts as JSON, and who waits for the answer.

    One for a `tenant` asks for something that it is to have.
    """

    what: str
    facts: bytes
    answer: asyncio.Future[Any]
    tenant: str = ""


class Questions:
    """Tenants take turns: one with hundreds of questions keeps no other waiting. Each tenant's keep their order.

    Those for no tenant, which give back what was had, have a turn like any.
    """

    def __init__(self) -> None:
        self._by_tenant: dict[str, deque[Question]] = {}

    def add(self, question: Question) -> None:
        """One more."""
        self._by_tenant.setdefault(question.tenant, deque()).append(question)

    def take(self, most: int) -> Sequence[Question]:
        """The next ones. What nobody waits for any more is not asked for: its end could have been told before."""
        taken: list[Question] = []
        while self._by_tenant and len(taken) < most:
            tenant = next(iter(self._by_tenant))
            questions = self._by_tenant.pop(tenant)
            question = questions.popleft()
            if questions:
                self._by_tenant[tenant] = questions
            if not (question.tenant and question.answer.cancelled()):
                taken.append(question)
        return taken
