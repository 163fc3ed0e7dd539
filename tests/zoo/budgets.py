"""Mistakes with the vendors' budgets: I27."""

from typing import Any

from pytest import MonkeyPatch

from keepstep.state import permits
from keepstep.wire.permits import SharedPermits


def free_with_the_answer(patch: MonkeyPatch) -> None:
    """I27: a permit is free again as soon as the answer is there, and not a second later."""

    async def give_back(self: Any, key: str, permit: int) -> None:
        held = self._held.pop((key, permit), None)
        await self.db.run(permits.give_back, key, permit, self.clock.now(), held)

    patch.setattr(SharedPermits, "give_back", give_back)
