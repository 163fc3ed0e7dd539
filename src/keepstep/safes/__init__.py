"""Where secrets may lie outside the database: a provider of the operator's, one module each, found by its name."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, TypeVar

from keepstep.model.errors import Misconfigured
from keepstep.settings.vault import Vault as Settings
from keepstep.state.places import HERE
from keepstep.state.vault import Secret

__all__ = ["HERE", "Safe", "Safes"]

Version = tuple[str, str]
T = TypeVar("T")


class Safe(Protocol):
    """A provider that keeps values under names, in versions that never change. Its calls block, with timeouts.

    All raise Transient where it has trouble, Permanent where it will never take this very value, and Misconfigured
    where it refuses us or where what it needs is not installed.
    """

    def put(self, name: str, value: Secret, mark: str) -> str:
        """Keep a value under a name; its version. `mark` is the same for a value that is put again."""
        ...

    def get(self, wanted: Sequence[Version]) -> Mapping[Version, Secret]:
        """Values by (name, version); what is not there, or not yet, is left out."""
        ...

    def delete(self, name: str) -> None:
        """Forget a name with all its versions; forgetting what is not there is fine."""
        ...

    def close(self) -> None: ...


class Safes:
    """Providers by name, each opened when it is first needed, by the settings as `look` finds them then."""

    def __init__(
        self,
        settings: Settings,
        opened: Mapping[str, Safe] | None = None,
        look: Callable[[], Settings] | None = None,
    ) -> None:
        self.settings = settings
        self._look = look or (lambda: settings)
        self._given = frozenset(opened or ())
        self._opened = dict(opened or {})

    def __getitem__(self, name: str) -> Safe:
        if name not in self._opened:
            self._opened[name] = _opener(name)(self._look())
        return self._opened[name]

    def ask(self, name: str, work: Callable[[Safe], T]) -> T:
        """What a provider says. One that refuses us is opened anew the next time: settings and credentials may have
        been mended."""
        try:
            return work(self[name])
        except Misconfigured:
            if name not in self._given and (refusing := self._opened.pop(name, None)) is not None:
                refusing.close()
            raise

    def close(self) -> None:
        """Close what was opened."""
        for safe in self._opened.values():
            safe.close()


def _opener(name: str) -> Callable[[Settings], Safe]:
    if not name.isidentifier() or find_spec(f"{__name__}.{name}") is None:
        raise Misconfigured((f"vault: {name} is no provider of this program",))
    opener: Callable[[Settings], Safe] | None = getattr(import_module(f"{__name__}.{name}"), "opened", None)
    if opener is None:
        raise Misconfigured((f"vault: {name} is no provider of this program",))
    return opener
