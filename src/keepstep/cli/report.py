"""The demo's report, for people."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

MEANING = {
    "people": "contacts ever seen in Constant Contact",
    "captured": "of them, read by Keepstep",
    "linked": "have one Virtuous contact with our reference and their address",
    "in_step": "linked, no wrong field, nothing waiting",
    "pending": "still waiting",
    "parked": "wait for a person's answer",
    "left_out": "no address, or not mailable",
    "dead_letters": "given up on",
    "wrong_fields": "fields with a value that nobody gave",
    "duplicates": "people, references or notes made twice",
    "lost": "people or edits that nobody can account for",
    "opt_outs": "people who opted out",
    "opt_outs_applied": "of them, opted out everywhere",
    "bounces": "mails that came back from people's own addresses",
    "bounces_applied": "of them, the address closed in Virtuous, or left by the person since",
    "notes": "notes on contacts with our reference",
    "notes_due": "bounces, deletions and complaints that leave one",
    "echo_writes": "writes that changed nothing",
    "rate_limit_breaches": "calls beyond a vendor's limit",
    "virtual_days": "simulated days",
    "seconds": "seconds it took",
}
# The same for the rows of an SQL table that are to be people on a list.
OF_FEED = {
    "rows": "rows that ever were in the table",
    "versions": "versions of them that were written",
    "on_list": "their person is on the list",
    "left_out": "no address, opted out, or gone since and not asked back",
    "missing": "ought to be on the list and are not",
    "waiting": "not settled yet",
    "put_back": "on the list again although the person had left it",
    "revived": "there again although deleted",
    "mailed_opted_out": "reached although opted out",
    "doubled": "one version that took effect twice",
    "wrong_fields": "values at Constant Contact that the table does not say",
    "unsaid": "left out without a word",
    "imports": "calls that carried them; the rest went one by one",
}
# What the kinds of events mean, and what has to come of them, where the name does not say it all.
EVENTS = {
    "address_given": "somebody without an address gave one, and is created",
    "address_handed_over": "somebody took the address that another one left",
    "address_lost": "an address was taken away; Virtuous keeps it",
    "address_swap": "two people changed addresses with each other; each takes the consent along",
    "bounce_before_move": "mail came back, and then the person moved",
    "bounce_hard": "no such address: closed in Virtuous at once, with a note",
    "bounce_old_address": "mail to an address that the person had left: nothing happens",
    "bounce_soft": "mailbox full and the like: closed as the route says, with a note",
    "bounce_waiting": "mail came back before the contact existed",
    "campaign_opt_out": "the link in a mail; the campaign's report tells",
    "complaint": "a mail was called spam: opted out, with a note",
    "contact_deleted": "deleted at Constant Contact: opted out in Virtuous, with a note, never deleted",
    "contact_tag_staff": "staff added the Virtuous tag that stands for a contact's tag",
    "custom_cleared": "a custom field was emptied; that does not travel",
    "deletion_before_return": "deleted, and then the person subscribed again",
    "entered_by_hand": "staff typed in somebody who waits in the import",
    "imports_by_staff": "staff ran the imports that do not run by themselves, some later, a few never",
    "list_renamed": "a list has another name; its tag stays",
    "list_semicolon": "the list's name holds the sign that separates tags",
    "move_after_bounce": "the new address stays closed until the person or an operator says so",
    "permission_temp_hold": "the vendor holds an address: not mailable, not opted out",
    "return_after_deletion": "the person's own act: opted in again",
    "revival": "staff brought a deleted contact back: no act of the person, so parked",
    "segment_added": "the imports' segment exists from now on",
    "row_added": "somebody new in the SQL table: on the list, and a contact in Virtuous",
    "row_changed": "another value in the SQL table: it goes to Constant Contact, and from there to Virtuous",
    "row_of_deleted": "a row of somebody deleted changed: nobody is brought back",
    "row_of_opted_out": "a row of somebody who opted out changed: nobody is written to",
    "row_of_who_left": "a row of somebody who left the list changed: nobody is put back",
    "row_permitted_anew": "a row says that somebody who had left agreed again since: on the list once more",
    "row_taken_out": "a row is gone from the table: its person stays on the list",
    "fed_person_deleted": "somebody of the SQL table was deleted at Constant Contact",
    "fed_person_leaves": "somebody of the SQL table left the list",
    "fed_person_opts_out": "somebody of the SQL table opted out",
    "vacation_reply": "an automatic answer is no bounce",
}
ZERO = ("wrong_fields", "duplicates", "lost", "echo_writes", "rate_limit_breaches", "dead_letters", "pending")


def summary(report: dict[str, Any], fine: bool, folder: Path | None) -> None:
    """Print what happened and whether it adds up."""
    console = Console()
    console.print(_figures(report))
    for name, feed in (report.get("feeds") or {}).items():
        console.print(_feed(name, feed))
    console.print(_events(report))
    details = [*(report.get("details") or []), *(one for feed in _feeds(report) for one in feed["details"])]
    for detail in details[:20]:
        console.print(
            f"[red]{detail['key'].replace('_', ' ')}: {detail['reason']} ({detail['record']})", soft_wrap=True
        )
    console.print(f"API documents: {_documents(report.get('documents') or {})}")
    sums = report["in_step"] + report["pending"] + _count(report["parked"]) + _count(report["left_out"])
    rows = all(one["on_list"] + _count(one["left_out"]) + one["missing"] == one["rows"] for one in _feeds(report))
    adds = "adds up" if sums + report["lost"] == report["people"] and rows else "does not add up"
    waiting = _count(report["parked"])
    good = "[green]everybody is in step" + (f", or waits for a person's answer ({waiting})" if waiting else "")
    console.print(f"{good if fine else '[red]something is wrong, see above'}; the report {adds}.", soft_wrap=True)
    if folder:
        console.print(f"kept in {folder}", soft_wrap=True)


def _figures(report: dict[str, Any]) -> Table:
    table = Table("what", "", "", show_header=False, box=None)
    for key, meaning in MEANING.items():
        value = report.get(key)
        bad = key in ZERO and _count(value) > 0
        table.add_row(key.replace("_", " "), f"[red]{_said(value)}" if bad else _said(value), f"[dim]{meaning}")
    for vendor, calls in (report.get("calls") or {}).items():
        floor = (report.get("floor_calls") or {}).get(vendor)
        table.add_row(f"calls to {vendor}", str(calls), f"[dim]the least possible: {floor}")
    return table


def _feeds(report: dict[str, Any]) -> list[dict[str, Any]]:
    return list((report.get("feeds") or {}).values())


def _feed(name: str, feed: dict[str, Any]) -> Table:
    table = Table(f"the SQL table {name}", "", "", box=None)
    for key, meaning in OF_FEED.items():
        value, zero = feed.get(key), key not in ("rows", "versions", "on_list", "left_out", "imports")
        said = f"[red]{_said(value)}" if zero and _count(value) > 0 else _said(value)
        table.add_row(key.replace("_", " "), said, f"[dim]{meaning}")
    return table


def _events(report: dict[str, Any]) -> Table:
    table = Table("what people, staff and the world did", "times", "", box=None)
    for side, kinds in (report.get("events_by_side") or {}).items():
        table.add_row(f"at {side.replace('_', ' ')}", str(_count(kinds)), "[dim]all that had to reach the other side")
    for kind, count in sorted((report.get("events") or {}).items()):
        table.add_row(str(kind).replace("_", " "), str(count), f"[dim]{EVENTS.get(kind, '')}")
    return table


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return sum(int(one) for one in value.values())
    return len(value) if isinstance(value, list) else int(value or 0)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(value.items()))
        return f"{_count(value)}" + (f" ({reasons})" if reasons else "")
    return str(value)


def _documents(found: dict[str, Any]) -> str:
    if "violations" not in found:
        return str(found.get("skipped") or found)
    violations, skipped = found["violations"], found.get("skipped")
    checked = ", ".join(f"{count} requests to {vendor}" for vendor, count in (found.get("checked") or {}).items())
    unchecked = "".join(f"; {vendor} not checked: {why}" for vendor, why in (skipped or {}).items())
    return f"{checked or 'nothing'} checked, {_count(violations)} violations{unchecked} {violations or ''}".strip()
