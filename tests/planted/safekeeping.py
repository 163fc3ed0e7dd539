"""Mistakes with secrets at rest: what binds them, where they lie, and how they are replaced."""

from typing import Any

from pytest import MonkeyPatch

from keepstep.safes import parameter_store
from keepstep.safes.keeper import Keeper
from keepstep.safes.moving import Move
from keepstep.state import places, rotations, vault
from keepstep.state.rotations import PREVIOUS
from keepstep.state.vault import Vault
from keepstep.wiring import rotation


def sealed_for_nobody(patch: MonkeyPatch) -> None:
    """A ciphertext is a ciphertext, whoever's row it lies in."""
    patch.setattr(vault, "_bound", lambda _row: b"")


def in_the_clear_at_the_provider(patch: MonkeyPatch) -> None:
    """The recipe reads and writes parameters; a parameter is a text unless it says otherwise."""
    true_put = parameter_store.ParameterStore.put

    class Plain:
        """A client that is asked for plain texts."""

        def __init__(self, client: Any) -> None:
            self.client = client

        def put_parameter(self, **given: Any) -> Any:
            return self.client.put_parameter(**given | {"Type": "String"})

    def put(self: Any, name: str, value: Any, mark: str) -> str:
        return true_put(parameter_store.ParameterStore(Plain(self._client)), name, value, mark)

    patch.setattr(parameter_store.ParameterStore, "put", put)


def written_is_kept(patch: MonkeyPatch) -> None:
    """The provider said yes, so it has it: nobody reads it back before the copy here goes."""

    async def given_back(_self: Any, _one: Any, _place: Any) -> bool:
        return True

    patch.setattr(Keeper, "_given_back", given_back)


def whatever_is_read_is_it(patch: MonkeyPatch) -> None:
    """Something came back under the name, so it is what was written, though an old value may come back for a while."""

    async def given_back(self: Any, _one: Any, place: Any) -> bool:
        wanted = (place.name, place.version)
        return wanted in await self.away(lambda: self.safes[place.provider].get([wanted]))

    patch.setattr(Keeper, "_given_back", given_back)


def not_read_is_empty(patch: MonkeyPatch) -> None:
    """What the provider does not give is not there, and a grant that is not there is no grant."""

    def placed(self: Any, _row: Any, text: str | None) -> Any:
        place = places.read_place(text)
        return self.known.get(place.mark) if place is not None and self.known is not None else None

    patch.setattr(Vault, "_placed", placed)


def sent_over_what_came_since(patch: MonkeyPatch) -> None:
    """What was sent to the provider counts from now on, though a newer one was stored while it was under way."""
    true_placed = places.placed

    def placed(tx: Any, row: Any, nonce: bytes, place: Any) -> bool:
        table = places.table
        now = tx.execute(places.select(table.c.nonce).where(*places.at(row))).scalar_one_or_none()
        return true_placed(tx, row, now or nonce, place)

    patch.setattr(places, "placed", placed)


def one_secret_at_a_time(patch: MonkeyPatch) -> None:
    """The new webhook secret takes the place of the old one, and what is in flight is refused."""
    true_rotated = rotation._rotated

    def rotated(tx: Any, service: Any, customer_id: str, platform: str, field: str, overlap: float, now: float) -> Any:
        row = true_rotated(tx, service, customer_id, platform, field, overlap, now)
        service.vault.drop(tx, customer_id, platform, field + PREVIOUS)
        return row

    patch.setattr(rotation, "_rotated", rotated)


def old_secrets_are_believed(patch: MonkeyPatch) -> None:
    """Whatever signed once is believed for good."""
    patch.setattr(rotation, "_forget", lambda tx, _s, who, platform, *_: rotations.over(tx, who, platform))


def the_vendor_is_told_first(patch: MonkeyPatch) -> None:
    """The vendor signs with the new secret while doors still know the old one alone."""
    patch.setattr(rotations, "TELL_AFTER", 0.0)


def dropped_here_alone(patch: MonkeyPatch) -> None:
    """What is forgotten here is forgotten: the provider keeps it for good."""

    async def clear(_self: Any, _tally: Any) -> None:
        return None

    patch.setattr(Keeper, "_clear", clear)


def a_move_is_its_own_proof(patch: MonkeyPatch) -> None:
    """Everything was sent, so everything is there."""
    patch.setattr(Move, "proven", property(lambda _self: True))
