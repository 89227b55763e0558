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

    Those for no tenant mostly give back what others wait for: as many of them go along as of all the others.
    """

    def __init__(self) -> None:
        self._by_tenant: dict[str, deque[Question]] = {}
        self._for_none: deque[Question] = deque()

    def add(self, question: Question) -> None:
        """One more."""
        if question.tenant:
            self._by_tenant.setdefault(question.tenant, deque()).append(question)
        else:
            self._for_none.append(question)

    def take(self, most: int) -> Sequence[Question]:
        """The next ones. What nobody waits for any more is not asked for: its end could have been told before."""
        taken = self._of_none(most // 2)
        while self._by_tenant and len(taken) < most:
            question = self._of_next_tenant()
            if not question.answer.cancelled():
                taken.append(question)
        return taken + self._of_none(most - len(taken))

    def _of_none(self, most: int) -> list[Question]:
        return [self._for_none.popleft() for _ in range(min(len(self._for_none), most))]

    def _of_next_tenant(self) -> Question:
        tenant = next(iter(self._by_tenant))
        questions = self._by_tenant.pop(tenant)
        question = questions.popleft()
        if questions:
            self._by_tenant[tenant] = questions
        return question
