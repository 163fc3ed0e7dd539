"""What a planted bug is: a patch of the product, and the invariants whose checkers must find it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from keepstep_simulator.run import Plan

Plant = Callable[[pytest.MonkeyPatch], None]
Plans = Callable[[int], Plan]
_NAMED = re.compile(r"((?:(?:I\d+|alive)(?:, | and )?)+): ")
SEEDS = 2000  # within so many seeds each must be found


@dataclass(frozen=True)
class Planted:
    """A mistake. `invariants`: at least one of these must speak. `plan`: what its seeds are made of, where the usual
    ones are not. `pairs`: only two runs of a seed beside each other show it (twins.py)."""

    plant: Plant
    invariants: tuple[str, ...]
    plan: Plans | None = None
    pairs: bool = False

    @property
    def name(self) -> str:
        """The folder's file and the function."""
        return f"{self.plant.__module__.rpartition('.')[2]}.{self.plant.__name__}"

    @property
    def says(self) -> str:
        """What the mistake is, in words."""
        return _NAMED.sub("", " ".join((self.plant.__doc__ or "").partition("\n\n")[0].split()), count=1)

    def made(self, seed: int) -> Plan:
        """What one seed is made of."""
        return self.plan(seed) if self.plan else Plan()

    @property
    def sites(self) -> frozenset[str]:
        """What of the product it patches."""
        recorder = Recorder()
        try:
            self.plant(recorder)
        finally:
            recorder.undo()
        return frozenset(recorder.sites)


class Recorder(pytest.MonkeyPatch):
    """Notes what is patched, and takes it back."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: list[str] = []

    def setattr(self, target: Any, name: Any, *value: Any, **more: Any) -> None:
        """As MonkeyPatch has it."""
        self.sites.append(f"{_place(target)}.{name}" if value else str(target))
        super().setattr(target, name, *value, **more)

    def setitem(self, dic: Any, name: Any, value: Any) -> None:
        """As MonkeyPatch has it."""
        self.sites.append(f"{type(next(iter(dic.values()))).__module__}.{name}")
        super().setitem(dic, name, value)


def _place(target: Any) -> str:
    if isinstance(target, ModuleType):
        return target.__name__
    return f"{target.__module__}.{target.__qualname__}"


def listed(expected: Mapping[Plant, str], plans: Mapping[Plant, Plans] | None = None) -> tuple[Planted, ...]:
    """Mistakes that are written down elsewhere: the invariants that must speak, and what seeds are made of."""
    return tuple(Planted(plant, tuple(names.split()), (plans or {}).get(plant)) for plant, names in expected.items())


def named(*modules: ModuleType) -> Iterator[Planted]:
    """The mistakes of files whose docstrings begin with the invariants that they break. `PLANS` of a file: what the
    seeds of some of them are made of."""
    for module in modules:
        for value in vars(module).values():
            if getattr(value, "__module__", "") == module.__name__ and (found := _NAMED.match(value.__doc__ or "")):
                plans = getattr(module, "PLANS", {})
                yield Planted(value, tuple(re.findall(r"I\d+|alive", found[1])), plans.get(value))
