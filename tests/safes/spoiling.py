"""Providers as they are on bad days: a wrapper around a safe."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from keepstep.model.errors import Transient
from keepstep.safes import Safe
from keepstep.state.vault import Secret

Version = tuple[str, str]


@dataclass
class Memory:
    """A safe in memory. Versions are numbers, as in a parameter store."""

    kept: dict[str, list[Secret]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def put(self, name: str, value: Secret, mark: str) -> str:
        self.calls.append(("put", name))
        self.kept.setdefault(name, []).append(value)
        return str(len(self.kept[name]))

    def get(self, wanted: Sequence[Version]) -> Mapping[Version, Secret]:
        self.calls += [("get", name) for name, _ in wanted]
        return {
            (name, version): self.kept[name][int(version) - 1]
            for name, version in wanted
            if len(self.kept.get(name, ())) >= int(version)
        }

    def delete(self, name: str) -> None:
        self.calls.append(("delete", name))
        self.kept.pop(name, None)

    def close(self) -> None:
        """Nothing to close."""


def Late(tries: int, old: bool = False) -> Callable[[Safe], Safe]:  # noqa: N802
    """What was put is found only at the read after so many; until then nothing is, or an old value."""
    return lambda safe: _Late(safe, tries, old)


def Failing(writes: int = 0, reads: int = 0) -> Callable[[Safe], Safe]:  # noqa: N802
    """The next calls fail; a failing write has taken effect every second time."""
    return lambda safe: _Failing(safe, writes, reads)


class _Wrapped:
    def __init__(self, safe: Safe) -> None:
        self.safe = safe
        self.lock = threading.Lock()

    def put(self, name: str, value: Secret, mark: str) -> str:
        return self.safe.put(name, value, mark)

    def get(self, wanted: Sequence[Version]) -> Mapping[Version, Secret]:
        return self.safe.get(wanted)

    def delete(self, name: str) -> None:
        self.safe.delete(name)

    def close(self) -> None:
        self.safe.close()


class _Late(_Wrapped):
    def __init__(self, safe: Safe, tries: int, old: bool) -> None:
        super().__init__(safe)
        self.tries, self.old = tries, old
        self.seen: dict[Version, int] = {}

    def get(self, wanted: Sequence[Version]) -> Mapping[Version, Secret]:
        found = dict(self.safe.get(wanted))
        with self.lock:
            for one in list(found):
                self.seen[one] = self.seen.get(one, 0) + 1
                if self.seen[one] <= self.tries:
                    found |= {one: Secret("an old value")} if self.old else {}
                    if not self.old:
                        del found[one]
        return found


class _Failing(_Wrapped):
    def __init__(self, safe: Safe, writes: int, reads: int) -> None:
        super().__init__(safe)
        self.writes, self.reads = writes, reads

    def put(self, name: str, value: Secret, mark: str) -> str:
        if self.writes:
            self.writes -= 1
            if self.writes % 2:
                self.safe.put(name, value, mark)
            raise Transient("AWS has trouble")
        return self.safe.put(name, value, mark)

    def get(self, wanted: Sequence[Version]) -> Mapping[Version, Secret]:
        if self.reads:
            self.reads -= 1
            raise Transient("AWS has trouble")
        return self.safe.get(wanted)
