"""The registry of disputed vendor behaviour: every point where the sources disagree or nobody knows, default first."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switch:
    """One disputed behaviour: its values, the default first, and where the dispute is written down."""

    name: str
    values: tuple[str, ...]
    source: str

    @property
    def default(self) -> str:
        return self.values[0]


class Switches:
    """The chosen value of every switch of one vendor, and which of them were ever read.

    Raises ValueError for a name or a value that the registry does not hold.
    """

    def __init__(self, registry: tuple[Switch, ...], chosen: Mapping[str, str] | None = None) -> None:
        self._values = {switch.name: switch.default for switch in registry}
        self._registry = {switch.name: switch for switch in registry}
        self._asked: set[str] = set()
        for name, value in (chosen or {}).items():
            self.choose(name, value)

    def __getitem__(self, name: str) -> str:
        self._asked.add(name)
        return self._values[name]

    def asked(self) -> frozenset[str]:
        """The names read since the beginning, or since `forget_asked`: no other switch can have mattered."""
        return frozenset(self._asked)

    def forget_asked(self) -> None:
        """Begin to record anew."""
        self._asked.clear()

    def choose(self, name: str, value: str) -> None:
        """Set one switch from now on."""
        switch = self._registry.get(name)
        if switch is None:
            raise ValueError(f"no switch {name!r}; there are {', '.join(sorted(self._registry))}")
        if value not in switch.values:
            raise ValueError(f"switch {name!r} has no value {value!r}; it has {', '.join(switch.values)}")
        self._values[name] = value

    def chosen(self) -> dict[str, str]:
        """Every switch with its present value."""
        return dict(self._values)
