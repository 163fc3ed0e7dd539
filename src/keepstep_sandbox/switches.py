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
    """The chosen value of every switch of one vendor.

    Raises ValueError for a name or a value that the registry does not hold.
    """

    def __init__(self, registry: tuple[Switch, ...], chosen: Mapping[str, str] | None = None) -> None:
        self._values = {switch.name: switch.default for switch in registry}
        self._registry = {switch.name: switch for switch in registry}
        for name, value in (chosen or {}).items():
            self.choose(name, value)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

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
