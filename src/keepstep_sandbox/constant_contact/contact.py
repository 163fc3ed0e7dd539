"""One contact as kept inside, and how it looks in an answer (CC facts 5.2). Moments are whole epoch seconds."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.constant_contact.dates import day, stamp
from keepstep_sandbox.switches import Switches

CORE = ("first_name", "last_name", "job_title", "company_name", "birthday_month", "birthday_day", "anniversary")
SUBRESOURCES = ("custom_fields", "phone_numbers", "street_addresses", "list_memberships", "taggings", "notes")
INCLUDES = frozenset((*SUBRESOURCES, "sms_channel"))
PERMISSIONS = ("explicit", "implicit", "not_set", "pending_confirmation", "temp_hold", "unsubscribed")
OUT = "unsubscribed"
_WITHOUT_OPT_IN = (OUT, "not_set", "pending_confirmation")  # CC facts 5.2: opt_in_source is missing for these


@dataclass(slots=True, eq=False)
class Contact:
    """`core`: names and dates; `email`: the channel or None; `parts`: subresources; `extra`: keys laid over answers."""

    contact_id: str
    created: int
    updated: int
    core: dict[str, Any] = field(default_factory=dict)
    email: dict[str, Any] | None = None
    parts: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SUBRESOURCES})
    create_source: str | None = None
    update_source: str | None = None
    deleted: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    asked_back: list[str] | None = None  # list ids of the one resubscribe mail
    formed: float | None = None  # when the last sign-up form came
    texts: dict[Any, str] = field(default_factory=dict)  # JSON by dialect and include, until the next change

    @property
    def permission(self) -> str | None:
        return self.email["permission_to_send"] if self.email else None

    @property
    def address(self) -> str | None:
        return self.email["address"] if self.email else None

    @property
    def out(self) -> bool:
        return self.permission == OUT

    @property
    def mailable(self) -> bool:
        return self.deleted is None and self.permission in ("explicit", "implicit")

    def text(self, include: frozenset[str], switches: Switches) -> str:
        """The JSON of an answer."""
        return self.written(include, switches["date_dialect"], switches["deleted_carries_opt_out"] == "yes")

    def written(self, include: frozenset[str], dialect: str = "z", deleted_out: bool = False) -> str:
        """The contact as JSON, kept until it changes."""
        key = (include, dialect, deleted_out)
        if key not in self.texts:
            self.texts[key] = json.dumps(self.view(*key))
        return self.texts[key]

    def view(self, include: Collection[str], dialect: str = "z", deleted_out: bool = False) -> dict[str, Any]:
        """The contact as a JSON object; keys without a value are absent, as in live answers."""
        shown: dict[str, Any] = {"contact_id": self.contact_id}
        if self.email:
            shown["email_address"] = self._email(dialect, deleted_out)
        shown |= {name: self.core[name] for name in CORE if name in self.core}
        shown |= {name: getattr(self, name) for name in ("create_source", "update_source") if getattr(self, name)}
        shown["created_at"] = stamp(self.created, dialect, "created_at")
        shown["updated_at"] = stamp(self.updated, dialect, "updated_at")
        if self.deleted is not None:
            shown["deleted_at"] = day(self.deleted)
        for name in SUBRESOURCES:
            if name in include:
                shown[name] = [_item(one, dialect) for one in self.parts[name]]
        return self._overlaid(shown, include)

    def _email(self, dialect: str, deleted_out: bool) -> dict[str, Any]:
        assert self.email is not None
        shown = dict(self.email)
        if self.permission in _WITHOUT_OPT_IN:
            shown.pop("opt_in_source", None)
        if deleted_out and self.deleted is not None and not self.out:
            shown |= {"opt_out_source": "Account", "opt_out_date": self.deleted}
        return _item(shown, dialect)  # type: ignore[no-any-return]

    def _overlaid(self, shown: dict[str, Any], include: Collection[str]) -> dict[str, Any]:
        for name, value in self.extra.items():
            if name in INCLUDES and name not in include:
                continue
            both = isinstance(value, dict) and isinstance(shown.get(name), dict)
            shown[name] = shown[name] | value if both else value
        return shown


def _item(value: Any, dialect: str) -> Any:
    """A stored object with its whole-second moments written out."""
    if not isinstance(value, dict):
        return value
    return {
        name: stamp(one, dialect, name) if isinstance(one, int) and name.endswith(("_at", "_date")) else one
        for name, one in value.items()
    }


def plain(name: str, items: list[Any]) -> list[Any]:
    """A subresource without ids and stamps: what a person would see change."""
    keys = {
        "phone_numbers": ("kind", "phone_number"),
        "street_addresses": ("kind", "street", "city", "state", "postal_code", "country"),
        "custom_fields": ("custom_field_id", "value", "choice_ids"),
        "notes": ("content",),
    }.get(name)
    if keys is None:
        return list(items)
    return [{key: one[key] for key in keys if one.get(key) is not None} for one in items]
