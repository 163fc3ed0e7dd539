"""What contacts refer to by id: lists, tags and custom fields. A row without id or name is left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.connectors.constant_contact.api import Api
from keepstep.connectors.constant_contact.source import LIMIT, rows_of_all_pages
from keepstep.model.custom import CustomField, Kind
from keepstep.model.errors import Unanswered

KINDS: Mapping[str, Kind] = {
    "string": "text",
    "text_area": "text",
    "date": "date",
    "datetime": "datetime",
    "number": "number",
    "currency": "number",
    "boolean": "boolean",
    "single_select": "single",
    "multi_select": "multi",
}
FIELDS_LIMIT = "100"  # the most of a page of custom fields (CC facts 3.2)


class Catalogue:
    """Reads every page of each."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def lists(self) -> Sequence[tuple[str, str]]:
        """(list id, name) of every active list (CC facts 6.1)."""
        query = {"limit": LIMIT, "status": "active"}
        return _named(await rows_of_all_pages(self._api, "/contact_lists", query, "lists"), "list_id")

    async def make_list(self, name: str) -> str:
        """409 where the name is taken (CC facts 6.1). Raises Unanswered where it may have been made."""
        answer = (await self._api.post("/contact_lists", {"name": name})).value
        made = answer.get("list_id") if isinstance(answer, dict) else None
        if not isinstance(made, str) or not made:
            raise Unanswered("a list was made without a list_id")
        return made

    async def tags(self) -> Sequence[tuple[str, str]]:
        """(tag id, name) of every tag (CC facts 6.3)."""
        return _named(await rows_of_all_pages(self._api, "/contact_tags", {"limit": LIMIT}, "tags"), "tag_id")

    async def fields(self) -> Sequence[CustomField]:
        """Every custom field, with the labels of its choices (CC facts 6.4)."""
        query = {"limit": FIELDS_LIMIT}
        rows = await rows_of_all_pages(self._api, "/contact_custom_fields", query, "custom_fields")
        return [found for row in rows if isinstance(row, dict) and (found := custom_field(row)) is not None]


def custom_field(row: Mapping[str, Any]) -> CustomField | None:
    """A definition; None where it has no id or no name. An unknown type is `other`: new ones come (CC facts 0)."""
    field_id, kind = row.get("custom_field_id"), row.get("type")
    names = tuple(dict.fromkeys(name for name in (row.get("label"), row.get("name")) if isinstance(name, str) and name))
    if not isinstance(field_id, str) or not field_id or not names:
        return None
    known = KINDS.get(kind.lower(), "other") if isinstance(kind, str) else "other"
    return CustomField(field_id=field_id, names=names, kind=known, choices=_choices(row.get("choices")))


def _choices(rows: object) -> dict[str, str]:
    """Label by id. Ids are declared as numbers and come as text: compared as text (CC facts 6.4). A choice that was
    deleted is still what a contact's id means."""
    found = [(row.get("choice_id"), row.get("choice_label")) for row in _objects(rows)]
    return {str(key): label for key, label in found if isinstance(key, str | int) and isinstance(label, str)}


def _named(rows: Sequence[Any], key: str) -> list[tuple[str, str]]:
    pairs = [(row.get(key), row.get("name")) for row in _objects(rows)]
    return [(one, name) for one, name in pairs if isinstance(one, str) and one and isinstance(name, str)]


def _objects(rows: object) -> list[Mapping[str, Any]]:
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
