"""The words of the narrative: deeds, calls, faults, deaths, settings and changes."""

import re
from collections.abc import Callable
from typing import Any

from keepstep_simulator.script import Element
from keepstep_simulator.story import Fact

# Of those the story's own facts tell, with what became of them.
PROCESS = ("crash", "pause", "restore", "skew", "operator")
DEEDS = {
    "edits_name": "{} writes the first name differently at Constant Contact",
    "edits_phone": "{} has another telephone number at Constant Contact",
    "edits_address": "{} has another postal address at Constant Contact",
    "changes_email": "{} has another e-mail address at Constant Contact",
    "joins": "{} joins a list",
    "leaves": "{} leaves a list",
    "opts_out": "{} opts out at Constant Contact",
    "is_deleted": "Staff delete {} at Constant Contact",
    "is_renamed_first": "Staff write the first name of {} differently in Virtuous",
    "is_renamed_last": "Staff write the last name of {} differently in Virtuous",
    "is_rephoned": "Staff change the telephone number of {} in Virtuous",
    "is_readdressed": "Staff change the postal address of {} in Virtuous",
    "is_opted_out": "Staff opt {} out in Virtuous",
    "is_tagged": "Staff give {} the tag of a list in Virtuous",
    "is_untagged": "Staff take the tag of a list off {} in Virtuous",
    "bounces_hard": "A mail to {} bounces for good",
    "bounces_softly": "A mail to {} bounces for now",
    "answers": "A mail to {} is answered by a machine",
    "opts_out_of_campaign": "{} opts out by the link in a mailing",
    "complains": "{} calls a mailing spam",
    "fills_in_text": "{} fills in a text field at Constant Contact",
    "fills_in_choice": "{} chooses otherwise in a field at Constant Contact",
    "is_filled_in": "Staff fill in a field of {} in Virtuous",
    "gets_tag": "Staff tag {} at Constant Contact",
    "is_marked": "Staff give {} the tag of a tag in Virtuous",
    "joins_odd": "{} joins or leaves the list with a semicolon in its name",
    "loses_address": "Staff take away the e-mail address of {} at Constant Contact",
    "returns": "{} opts out at Constant Contact, and subscribes again later",
    "moves_and_bounces": "{} has a new e-mail address at Constant Contact, and a mail to the old one bounces",
    "are_merged": "Staff merge the households of {} and {} in Virtuous",
    "are_tagged": "Staff put a tag on {} and {} at once in Virtuous",
    "swaps": "{} and {} change their e-mail addresses with each other",
    "hands_over": "{} has a new e-mail address, and {} takes the old one",
    "lists_renamed": "Staff give a list another name at Constant Contact",
}
_VISITORS = {
    "again": "A delivery of Virtuous comes once more",
    "unsigned": "A delivery without a signature comes",
    "forged": "A forged delivery comes",
    "cut": "Half a delivery comes, with the signature of the whole",
    "elsewhere": "A delivery comes to the address of another customer",
    "nowhere": "A delivery comes to an address that nobody has",
    "poison": "A signed delivery comes that nobody can read",
}
# What the story's facts call what an operator or the owner does.
_OPERATE = {
    "connect": "The owner connects {platform}",
    "reconnect": "The owner connects {platform} again",
    "wrong_account": "The owner connects another account of Constant Contact",
    "pause": "The operator pauses the customer",
    "resume": "The operator lets the customer go on",
    "replay": "The operator has a dead letter tried again",
    "discard": "The operator throws a dead letter away",
    "approve": "The operator lets what was braked go on",
    "adopt": "The operator takes the account for the right one",
    "remove": "The operator removes the customer",
    "failed": "What the operator tries fails",
}
# No fact of the story tells these.
_OWNER = {
    "revoked": "The owner takes back the consent at Constant Contact",
    "key": "The owner makes another key at Virtuous",
}
_POLICY = {
    "fields_to_audience": "What staff write in Virtuous goes to Constant Contact: {value}.",
    "brake_floor": "The brake holds more than {value} at once.",
}
_NETS = {
    "webhooks": "Webhooks of Virtuous: {value}.",
    "hints": "Webhooks of Constant Contact: {value}.",
    "operator": "The operator {value} accounts again, and nothing else.",
    "workers": "Processes at work from the beginning: {value}.",
    "logs": "What Keepstep logs is {value}.",
}
# METHOD and path, the words, and what the last part of the path numbers.
_CALLS: tuple[tuple[str, str, str], ...] = (
    (r"POST /oauth2/", "the refresh of the access to Constant Contact", ""),
    (r"GET /v3/contacts/", "the look at the record", "audience"),
    (r"PUT /v3/contacts/", "the write of the record", "audience"),
    (r"GET /v3/contacts\b", "the look at the contacts of Constant Contact", ""),
    (r"POST /v3/contacts\b", "the making of a contact at Constant Contact", ""),
    (r"GET /v3/contact_lists", "the look at the lists", ""),
    (r"GET /v3/contact_tags", "the look at the tags of Constant Contact", ""),
    (r"GET /v3/contact_custom_fields", "the look at the fields of Constant Contact", ""),
    (r"GET /v3/emails", "the look at the mailings", ""),
    (r"GET /v3/reports/", "the look at what came back of a mailing", ""),
    (r"GET /v3/activities", "the look at a list job", ""),
    (r"POST /v3/activities", "a list job", ""),
    (r"POST /api/Contact/Query", "the search among the contacts of Virtuous", ""),
    (r"POST /api/Contact/Batch", "the import of new people", ""),
    (r"POST /api/Contact$", "the making of a contact in Virtuous", ""),
    (r"POST /api/Contact/Transaction", "the import of a new person", ""),
    (r"GET /api/Contact/Find", "the search for an address in Virtuous", ""),
    (r"GET /api/Contact/(QueryOptions|CustomFields)", "the look at the fields of Virtuous", ""),
    (r"GET /api/Contact/", "the look at the contact", "contact"),
    (r"PUT /api/Contact/", "the write of the contact", "contact"),
    (r"GET /api/ContactIndividual/", "the look at the individual", "individual"),
    (r"PUT /api/ContactIndividual/", "the write of the individual", "individual"),
    (r"POST /api/ContactMethod", "the adding of an address or telephone in Virtuous", ""),
    (r"PUT /api/ContactMethod/", "the write in Virtuous", "method"),
    (r"DELETE /api/ContactMethod/", "the removal in Virtuous", "method"),
    (r"GET /api/ContactAddress/", "the look at the postal addresses", "contact"),
    (r"\w+ /api/ContactAddress", "the write of a postal address in Virtuous", ""),
    (r"GET /api/ContactTag/", "the look at the tags", "contact"),
    (r"POST /api/ContactTag", "the adding of a tag in Virtuous", ""),
    (r"DELETE /api/ContactTag", "the removal of a tag in Virtuous", ""),
    (r"GET /api/ContactNote/", "the look at the notes", "contact"),
    (r"POST /api/ContactNote", "the writing of a note in Virtuous", ""),
    (r"POST /api/ContactReference", "the linking of a contact in Virtuous", ""),
    (r"DELETE /api/ContactReference", "the unlinking of a contact in Virtuous", ""),
    (r"GET /api/Tag", "the look at the tags of Virtuous", ""),
    (r"GET /api/Segment", "the look at the segment of the imports", ""),
    (r"\w+ /api/Webhook", "the subscription to the events of Virtuous", ""),
    (r"GET /v3/account", "the look at whose account it is", ""),
    (r"GET /api/Organization", "the look at whose key it is", ""),
)
_FAULTS = {
    "unreached": "{call} never leaves: {vendor} is not reached",
    "400": "{vendor} refuses {call} for good (400)",
    "401": "{vendor} refuses {call}: not with this access (401)",
    "429": "{vendor} turns {call} away: too many calls",
    "500": "{vendor} refuses {call} with an error (500)",
    "503": "{vendor} refuses {call}: not now (503)",
    "reset_before": "the connection breaks before {call} arrives, which nobody can know",
    "reset_after": "the answer to {call} is lost, after {vendor} did what it was asked",
    "truncated": "the answer to {call} breaks off in the middle",
    "html_after": "{vendor} does what {call} asks and answers with a page for people",
    "503_after": "{vendor} does what {call} asks and answers 503",
}
_DEATHS = (
    (r"before commit (\w+)", "right before the commit of `{}`"),
    (r"after commit (\w+)", "right after the commit of `{}`"),
    (r"before call (.+)", "right before {}"),
    (r"after effect of (.+)", "while {} is on its way back"),
    (r"after answer of (.+)", "right after {} was answered"),
)
_FIELDS = {
    "isOptedIn": "the consent",
    "email_address.permission_to_send": "the consent",
    "list_memberships": "the lists",
    "tags": "the tags",
    "taggings": "the tags",
    "firstName": "the first name",
    "lastName": "the last name",
    "first_name": "the first name",
    "last_name": "the last name",
    "value": "the value",
}
_MADE = {"contact": "the contact of ", "individual": "the individual ", "note": "a note of "}
# What a new record is made with goes without saying, but for this.
_TOLD_OF_NEW = ("isOptedIn", "permission_to_send", "tags", "list_memberships")
_DULL = ("contactId", "isPrimary", "isSecondary", "isPrivate", "isDeceased")


def call(method: str, path: str) -> tuple[str, str]:
    """A call as a thing that can be lost, and the kind of record that its path ends in."""
    for pattern, words, kind in _CALLS:
        if re.match(pattern, f"{method} {path}"):
            return words, kind
    return f"{method} {path}", ""


def fault(kind: str, words: str, where: str) -> str:
    """What goes wrong with a call."""
    vendor = "Virtuous" if "/api/" in where else "Constant Contact"
    said = _FAULTS.get(kind, f"{kind} befalls {{call}}").format(call=words, vendor=vendor)
    return said[0].upper() + said[1:]


def commit(point: str, name: str) -> str:
    """What goes wrong with a commit."""
    if point == "before":
        return f"The commit of `{name}` fails"
    return f"The commit of `{name}` is done, and the database says that it failed"


def trouble(fact: Fact, named: Callable[[str], str]) -> str:
    """What befalls the process itself; empty for other facts."""
    if fact.kind == "CRASH":
        return f"Keepstep dies {_death(fact.key, named)}"
    if fact.kind == "BOOT" and fact.data.get("double"):
        return "A second Keepstep is started beside the first"
    if fact.kind == "BOOT" and fact.process > 1:
        return "Keepstep is started again"
    if fact.kind == "PAUSE":
        return f"Keepstep stands still for {span(fact.data['seconds'])}"
    if fact.kind == "OPERATE":
        said = _OPERATE.get(fact.key, f"The operator: {fact.key}")
        return said.format(platform=title(str(fact.data.get("platform", ""))))
    if fact.kind == "RESTORE":
        return f"The disk is put back to what it was {span(fact.data['age'])} ago"
    if fact.kind == "SKEW":
        ahead = fact.data["ahead"]
        if not ahead:
            return "Our clock is right again"
        return f"Our clock goes {span(abs(ahead))} {'ahead' if ahead > 0 else 'behind'} from here on"
    return ""


def _death(where: str, named: Callable[[str], str]) -> str:
    for pattern, words in _DEATHS:
        if found := re.fullmatch(pattern, where):
            return words.format(named(found[1]) if "/" in found[1] else found[1])
    return where


def setting(one: Element) -> str:
    """What is not as usual; empty for what goes without saying."""
    name = one.label.partition(" ")[2]
    if one.kind == "switch":
        vendor, _, switch = name.partition(" ")
        return f"At {title(vendor)}, {switch} is {one.what['value']}."
    if one.kind == "order":
        return "Tasks that are ready at one moment take turns at random."
    if one.kind in ("net", "policy"):
        usual = f"The round '{name}' never runs again after the first time."
        words = _NETS.get(name, usual) if one.kind == "net" else _POLICY.get(name, f"{name}: {{value}}.")
        return words.format(value=_shown(one.what["value"]))
    return "" if one.kind in ("person", "customer", "cadence") else f"{one.label}."


def visitor(kind: str) -> str:
    """Somebody else at the door."""
    return _VISITORS.get(kind, f"A delivery comes: {kind}")


def owner(what: str) -> str:
    """What the owner does beside the service; empty for what a fact tells."""
    return _OWNER.get(what, "")


def title(platform: str) -> str:
    """A platform as people write it."""
    return {"virtuous": "Virtuous", "constant_contact": "Constant Contact"}.get(platform, platform)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list | tuple) else str(value)


_ACTORS = {"product": "Keepstep", "job": "Keepstep's list job", "batch": "Virtuous' nightly import"}


def effect(fact: Fact, name: str, side: str) -> str:
    """A value that changed by Keepstep's doing."""
    field, before, after = fact.data["field"], fact.data["before"], fact.data["after"]
    who = _ACTORS[fact.data["actor"]]
    if field == "id" and before is None:
        made = _MADE.get(fact.key.partition(":")[0], "")
        return f"{who} makes {made}{name} at {side}"
    new = before is None and field.rpartition(".")[2] not in _TOLD_OF_NEW
    if new or field in _DULL or field.endswith(("_at", "Utc", "_source", "_date")):
        return ""
    what = f"{_FIELDS.get(field, field)} of {name} at {side}"
    if isinstance(before, list | tuple) or isinstance(after, list | tuple):
        return f"{who} changes {what}"
    was = "" if before is None else f" from {_short(before)}"
    return f"{who} sets {what}{was} to {_short(after)}"


def _short(value: Any) -> str:
    words = {True: "yes", False: "no", None: "nothing"}
    return words[value] if isinstance(value, bool) or value is None else str(value)[:60]


def span(seconds: float) -> str:
    """A length of time as one says it."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size, 1)
            return f"{count:g} {name}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"
