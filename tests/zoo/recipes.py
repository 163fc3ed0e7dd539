"""The traps of the vendors' own recipe: each is what its text or its program tells one to do."""

import json
from typing import Any

from pytest import MonkeyPatch

from keepstep.web import door as web_door
from tests.planted import door, granting, limits, mapping, reading, writing
from tests.zoo import plans, staged
from tests.zoo.planting import Plant, listed


def parsed_before_it_is_verified(patch: MonkeyPatch) -> None:
    """The body is parsed first: what is verified is no longer what was sent."""
    right = web_door.body_of

    async def body_of(*given: Any) -> bytes:
        return json.dumps(json.loads(await right(*given)), separators=(",", ":")).encode()

    patch.setattr(web_door, "body_of", body_of)


_EXPECTED: dict[Plant, str] = {
    reading.first_page_only: "",
    reading.href_as_cursor: "",
    reading.no_include: "",
    reading.import_without_checkpoint: "",
    reading.gone_is_deleted: "",
    reading.reports_never_read: "",
    parsed_before_it_is_verified: "",
    door.account_in_the_body: "",
    door.values_from_the_event: "",
    mapping.country_is_us: "",
    mapping.lists_by_name: "",
    mapping.tags_by_comma: "",
    mapping.tags_are_objects: "",
    mapping.phone_number_field: "",
    mapping.first_address: "",
    mapping.first_of_our_references: "",
    mapping.segment_sent_unasked: "",
    mapping.undefined_list: "",
    granting.a_token_manager_beside: "",
    limits.budget_is_a_constant: "",
    writing.everybody_by_transaction: "",
    writing.updates_by_import: "",
}
_PLANS = {
    mapping.country_is_us: plans.plain,
    mapping.first_address: plans.plain,
    granting.a_token_manager_beside: plans.beside,
    reading.gone_is_deleted: staged.NOT_FOUND,
    door.account_in_the_body: staged.FOREIGN,
    mapping.undefined_list: staged.FRESH_LIST,
    limits.budget_is_a_constant: staged.SPENT,
}
RECIPES = listed(_EXPECTED, _PLANS)
# Every trap to its mistake, wherever in the zoo it stands.
TRAPS = {
    "no page loop in the poll": "reading.first_page_only",
    "the mark is the local clock after the fetch": "reading.wall_clock_mark",
    "`updated_after` only": "consent.opt_outs_by_updates",
    "`_links.next.href`, a path, sent as a cursor": "reading.href_as_cursor",
    "a bulk load without a checkpoint": "reading.import_without_checkpoint",
    "the body parsed before the signature is checked": "recipes.parsed_before_it_is_verified",
    "half a delivery stored": "intake.first_of_many",
    "the customer chosen by a field of the body": "door.account_in_the_body",
    "a default country over an empty one": "mapping.country_is_us",
    "what the event says instead of a fresh read": "door.values_from_the_event",
    "lists matched by name": "mapping.lists_by_name",
    "tags joined by a comma": "mapping.tags_by_comma",
    "a refresh in a second process without a lock": "granting.a_token_manager_beside",
    "two hourly limits side by side": "limits.budget_is_a_constant",
}
