"""Changing one contact at one moment: which stamps move, and what is recorded as changed (CC facts 5.3 to 5.5)."""

from typing import Any

from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.contact import OUT, Contact, plain
from keepstep_sandbox.constant_contact.dates import day, seconds, stamp

_MOVED_BY = {  # subresource -> the switch that says whether it moves the contact's own updated_at
    "list_memberships": "list",
    "taggings": "tag",
    "custom_fields": "custom_field",
    "phone_numbers": "phone",
    "street_addresses": "address",
}
_ID = {"phone_numbers": "phone_number_id", "street_addresses": "street_address_id", "notes": "note_id"}


class Change:
    """One write to one contact. Stamps and sources follow from a change and are not recorded as changes themselves."""

    def __init__(self, account: Account, contact: Contact, now: float) -> None:
        self._account, self._contact, self._at = account, contact, seconds(now)
        contact.texts.clear()

    def core(self, name: str, value: Any) -> None:
        """Set a name, job title, birthday...; None or "" clears it."""
        core, value = self._contact.core, None if value == "" else value
        before = core.get(name)
        if before == value:
            return
        if value is None:
            del core[name]
        else:
            core[name] = value
        self._note(name, before, value)
        self._contact.updated = self._at

    def address(self, address: str, permission: str = "implicit", source: str = "Account") -> None:
        """Give the contact an address; a first one comes with a permission."""
        before = self._contact.address
        if before == address:
            return
        if self._contact.email is None:
            self._contact.email = {
                "address": address,
                "permission_to_send": None,
                "created_at": self._at,
                "updated_at": self._at,
            }
            self.permission(permission, source, moves=False)
            self._contact.email["confirm_status"] = "off"
        self._contact.email["address"] = address
        self._account.index(self._contact, before, address)
        self._note("email_address.address", before, address)
        self._contact.email["updated_at"] = self._contact.updated = self._at

    def no_address(self) -> None:
        """Take the email channel away."""
        email = self._contact.email
        if email is None:
            return
        self._account.index(self._contact, email["address"], None)
        self._contact.email, self._contact.updated = None, self._at
        self._note("email_address.address", email["address"], None)
        self._note("email_address.permission_to_send", email["permission_to_send"], None)

    def permission(self, permission: str, source: str, reason: str | None = None, moves: bool = True) -> None:
        """Change consent. An opt-out moves only `email_address.updated_at`, never the contact's (CC facts 5.4)."""
        email = self._contact.email
        if email is None or email["permission_to_send"] == permission:
            return
        before = dict(email)
        email |= {"permission_to_send": permission, "updated_at": self._at}
        if permission == OUT:
            email |= {"opt_out_source": source, "opt_out_date": self._at, "opt_out_reason": reason}
        else:
            self._in(email, permission, source)
            self._moves("permission", moves)
        self._note_email(before, email)
        if permission == OUT and self._account.switches["unsubscribed_keeps_lists"] == "no":
            self.part("list_memberships", [], moves=False)

    def _in(self, email: dict[str, Any], permission: str, source: str) -> None:
        for name in ("opt_out_source", "opt_out_date", "opt_out_reason"):
            email.pop(name, None)
        if permission not in ("explicit", "implicit"):
            return
        email["opt_in_source"] = source
        if "opt_in_date" not in email or self._account.switches["resubscribe_moves_opt_in_date"] == "yes":
            email["opt_in_date"] = self._at

    def reason(self, reason: str | None) -> None:
        """Another reason on somebody already opted out."""
        email = self._contact.email
        if email is not None and email["permission_to_send"] == OUT and reason is not None:
            before = dict(email)
            email["opt_out_reason"] = reason
            self._note_email(before, email)

    def part(self, name: str, items: list[Any], moves: bool = True) -> None:
        """Replace one subresource; items that stay keep their ids."""
        old = self._contact.parts[name]
        before, after = plain(name, old), plain(name, items)
        if before == after:
            return
        if name == "list_memberships" and sorted(before) == sorted(after):
            return
        self._contact.parts[name] = [self._kept(name, one, old) for one in items]
        self._note(name, before, after)
        if name in _MOVED_BY:
            self._moves(_MOVED_BY[name], moves)

    def _kept(self, name: str, item: Any, old: list[Any]) -> Any:
        """A stored item for a sent one: the old one where nothing differs, else a new one under the id it names."""
        key = _ID.get(name)
        if key is None:
            return item
        wanted = plain(name, [item])
        same = next((one for one in old if plain(name, [one]) == wanted), None)
        if same is not None:
            return same
        named = next((one for one in old if one.get(key) and one.get(key) == item.get(key)), None)
        fresh = {key: named[key] if named else self._account.ids.next(), **wanted[0]}
        created = named["created_at"] if named and "created_at" in named else self._at
        if name == "notes":
            return fresh | {"created_at": created}
        return fresh | {
            "created_at": created,
            "updated_at": self._at,
            "create_source": "Account",
            "update_source": "Account",
        }

    def join(self, list_id: str) -> None:
        """Put on one list."""
        lists = self._contact.parts["list_memberships"]
        if list_id not in lists:
            self.part("list_memberships", [*lists, list_id])

    def leave(self, list_id: str) -> None:
        """Take off one list."""
        self.part("list_memberships", [one for one in self._contact.parts["list_memberships"] if one != list_id])

    def tag(self, tag_id: str) -> None:
        """Put one tag on."""
        tags = self._contact.parts["taggings"]
        if tag_id not in tags:
            self.part("taggings", [*tags, tag_id])

    def untag(self, tag_id: str) -> None:
        """Take one tag off."""
        self.part("taggings", [one for one in self._contact.parts["taggings"] if one != tag_id])

    def delete(self) -> None:
        """Soft: lists go, the rest stays, `deleted_at` is a date (CC facts 5.5)."""
        if self._contact.deleted is not None:
            return
        self.part("list_memberships", [], moves=False)
        self._contact.deleted = self._at
        self._note("deleted_at", None, day(self._at))
        self._moves("deletion")

    def revive(self) -> None:
        """Undo a deletion; consent stays what it was, lists do not come back (CC facts 5.5)."""
        if self._contact.deleted is None:
            return
        before, self._contact.deleted = self._contact.deleted, None
        self._note("deleted_at", day(before), None)
        self._moves("deletion")

    def signed(self, source: str) -> None:
        """Who made this update."""
        self._contact.update_source = source

    def _moves(self, what: str, really: bool = True) -> None:
        if really and self._account.switches[f"updated_at_on_{what}"] == "yes":
            self._contact.updated = self._at

    def _note_email(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        for name in (
            "permission_to_send",
            "opt_in_source",
            "opt_in_date",
            "opt_out_source",
            "opt_out_date",
            "opt_out_reason",
        ):
            self._note(f"email_address.{name}", _shown(before.get(name)), _shown(after.get(name)))

    def _note(self, field: str, before: Any, after: Any) -> None:
        self._account.note(f"contact:{self._contact.contact_id}", field, before, after)


def _shown(value: Any) -> Any:
    return stamp(value) if isinstance(value, int) else value


def create(account: Account, now: float, source: str | None, contact_id: str | None = None) -> Contact:
    """A new, empty contact."""
    at = seconds(now)
    contact = Contact(contact_id or account.ids.next(), at, at, create_source=source)
    account.contacts[contact.contact_id] = contact
    account.note(f"contact:{contact.contact_id}", "contact_id", None, contact.contact_id)
    return contact
