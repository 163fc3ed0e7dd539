"""Real randomness and ids."""

import random
import secrets
import uuid


class SystemChance:
    """`keepstep.ports.Chance` from the operating system."""

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)

    def id(self) -> str:
        return uuid.uuid4().hex

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)
