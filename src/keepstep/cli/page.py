"""How status and timeline look to a person at a terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
SAID: Mapping[str, Callable[[Row], str]] = {
    "standing": lambda row: _words(row.get("standing")) + (f": {_words(row['reason'])}" if row.get("reason") else ""),
    "outcome": lambda row: (
        f"{_words(row.get('step'))} {'to the CRM' if row.get('side') == 'crm' else 'to the list service'}"
        f": {row.get('outcome')}" + (f" ({row['why']})" if row.get("why") else "")
    ),
    "conflict": lambda row: f"both sides changed {_words(row.get('field'))}; its owner's value stays",
    "undone": lambda row: f"{_named(str(row.get('field')))} is as before {row.get('run')}",
    "undo": lambda row: f"{_words(row.get('what'))} of {row.get('run')} is not undone: {_words(row.get('state'))}",
    "merged": lambda _row: "two households turned out to be one",
    "matched": lambda row: f"taken for {_whom(row)}",
    "confirmed": lambda row: f"confirmed in the CRM: {_whom(row)}",
    "compared": lambda row: f"nobody could be settled on ({_words(row.get('reason'))}); " + _compared(row),
    "consent out": lambda row: (
        f"opted out ({row.get('kind')}, by {row.get('source')}), not later than {row.get('before')}"
    ),
    "consent in": lambda row: f"opted in again by their own act, at {row.get('happened')}",
}

STAGES = {
    "waiting": "nightly batch",
    "stuck": "stuck for a day",
    "review": "need review",
    "owed": "opt-outs owed",
    "held": "wait for an address",
}


def status(value: Row) -> None:
    """One block a customer."""
    console = Console(markup=False)  # reasons are data, brackets and all
    customers: Sequence[Row] = value["customers"]
    if not customers:
        console.print("nobody is served yet: add a customer with `keepstep customer add ID`")
    for one in customers:
        console.print(Text(str(one["customer"]), style="bold").append(f"  {_pairs(_accounts(one))}", "not bold"))
        console.print(_figures(one))
        if any(poll["next"] or poll["last"] for poll in one["polls"].values()):
            console.print(_polls(one["polls"]))


def _figures(one: Row) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for title, text in _of_connections(one):
        table.add_row(title, text)
    table.add_row("people", _pairs(one["people"]) or "nobody was captured yet")
    for reason, count in one["reasons"].items():
        table.add_row("", f"{count} {_words(reason)}")
    table.add_row("marked", _pairs(one["queue"]) or "nothing")
    under_way = {"under way": one["under_way"]} if one["under_way"] else {}
    table.add_row("steps", _pairs({**one["steps_held"], **under_way}) or "none wait")
    for name, title in STAGES.items():
        stage = one[name]
        if stage["count"]:
            table.add_row(title, f"{stage['count']}, the oldest {_age(stage['oldest_seconds'])}: {stage['next']}")
    if one["crm"] and not one["waiting_for_batch"]:
        table.add_row("nightly batch", "nobody waits")
    for title, text in (*_of_feeds(one), *_for_a_person(one)):
        table.add_row(title, text)
    table.add_row("stage", _words(one["stage"]))
    if one["plan"]:
        table.add_row("plan", f"{_words(one['plan']['state'])} {one['plan']['checksum'] or ''}".strip())
    if one["window"]:
        table.add_row("bulk work", "now" if one["window"]["open"] else f"from {one['window']['opens'] or 'never'}")
    quiet = one["subscription"]
    if quiet["state"] == "quiet":
        table.add_row("webhooks", f"quiet since {quiet['quiet_since']}, {quiet['missed']} missed; {quiet['next']}")
    table.add_row("dead letters", str(one["dead_letters"]))
    table.add_row("last trouble", _pairs(one["last_trouble"]) if one["last_trouble"] else "none")
    table.add_row("calls today", _pairs(one["calls_today"]))
    return table


def _accounts(one: Row) -> Row:
    """A feed has a line of its own."""
    return {name: health for name, health in one["connections"].items() if not name.startswith("sql_table:")}


def _of_connections(one: Row) -> Iterator[tuple[str, str]]:
    for platform, why in one["blocked"].items():
        yield "blocked", f"{platform}, {why['reason']}: {_blocked(why)}"
    for platform, grant in one["idle_grants"].items():
        yield "idle grant", f"{platform}, for {grant['days']} days: {grant['next']}"


def _blocked(why: Row) -> str:
    waits = f"{why['steps']} writes wait, the oldest {_age(why['oldest_seconds'])}" if why["steps"] else "nothing waits"
    return f"{waits}; {why['next']}"


def _of_feeds(one: Row) -> Iterator[tuple[str, str]]:
    """When each was read and is read next, its rows, and what keeps it from being read."""
    for name, feed in one["feeds"].items():
        when = f"last read {feed['last'] or 'never'}, next {feed['next'] or '-'}"
        trouble = f"; {'; '.join(feed['problem'])}" if feed["problem"] else ""
        yield f"feed {name}", f"{feed['state']}, {when}; rows: {_pairs(feed['rows']) or 'none'}{trouble}"


def _for_a_person(one: Row) -> Iterator[tuple[str, str]]:
    """What somebody may want to look at, where there is any of it."""
    brake, over, only = one["brake"], one["overwritten"], one["crm_only"]
    if brake["held"]:
        then = f"`keepstep brake show --customer {one['customer']}`"
        yield "brake", f"{brake['held']} inferred changes held since {brake['since']}: {then}"
    if over["count"] or over["unknown"]:
        yield "overwritten", f"{over['count']} values, {over['unknown']} contacts unknown: {over['next']}"
    for tag in one["tags_without_list"]:
        yield "tag", f"{tag['tag']}: {_words(tag['reason'])}; {tag['next']}"
    if told := _pairs({name: count for name, count in one["alerts"].items() if count}):
        yield "alerts", f"{told}: `keepstep alerts list --customer {one['customer']}`"
    if one["raced_optouts"]:
        yield "raced opt-outs", f"{one['raced_optouts']}, found and written again"
    if only["policy"] != "leave":
        counts = {name: only[name] for name in ("external", "wanted", "enrolled", "left_out") if only[name]}
        yield "only in the CRM", f"{only['policy']}: {_pairs(counts) or 'nobody'}"


def _polls(polls: Mapping[str, Row]) -> Table:
    table = Table("poll", "last", "next", box=None, padding=(0, 2), header_style="dim")
    for name, poll in polls.items():
        if poll["next"] or poll["last"]:
            last = _words(poll["trouble"]) if poll.get("trouble") else poll["last"] or "-"
            table.add_row(_words(name), last, poll["next"] or "-")
    return table


def timeline(rows: Iterable[Row]) -> None:
    """One line an event, oldest first."""
    console = Console()
    for row in rows:
        say = SAID.get(str(row["what"]), _plain)
        line = Text(f"{row['at']}  ", style="dim")
        console.print(line.append(say(row), style="not dim"), soft_wrap=True)


STATE_STYLE = {"pass": "green", "fail": "red", "not applicable": "dim"}


def readiness(lines: Iterable[Row]) -> None:
    """The checklist: each line with its evidence, and what to do where it fails."""
    console = Console()
    for one in lines:
        state = Text(f"{one['state']:<15}", style=STATE_STYLE.get(str(one["state"]), ""))
        console.print(state.append(f"{one['line']}: {one['evidence']}", style="not dim"), soft_wrap=True)
        if one["next"]:
            console.print(Text(f"{'':<15}next: {one['next']}"), soft_wrap=True)


def then(value: Row) -> None:
    """Both sides beside each other, each with what was seen of it, and what came of that."""
    console = Console()
    console.print(Text(f"at {value['at']}, decided {value['decided'] or 'not yet'}", style="dim"))
    for person in value["people"]:
        reason = f": {_words(person['reason'])}" if person["reason"] else ""
        console.print(Text(f"{person['record']}  {_words(person['standing'])}{reason}", style="bold"))
        console.print(_sides(person))
    for title, lines in (
        ("wanted", [_wanted(step) for step in value["steps"]]),
        ("known by then", [_known(act) for act in value["acts"]]),
        ("noted", [_words(note["kind"]) for note in value["notes"]]),
    ):
        for line in lines:
            console.print(Text(f"{title}: {line}"), soft_wrap=True)


def _sides(person: Row) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for title in ("", "audience", "as seen", "CRM", "as seen"):
        table.add_column(title, overflow="fold")
    parts = [person[side][when] or {} for side in ("audience", "crm") for when in ("now", "seen")]
    for name in dict.fromkeys(name for part in parts for name in part):
        table.add_row(_words(name), *(Text(_said(part.get(name))) for part in parts))
    return table


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    return "-" if value is None else "yes" if value is True else "no" if value is False else str(value)


def _wanted(step: Row) -> str:
    held = f", held: {_words(step['hold'])}" if step["hold"] else ""
    return f"{_words(step['kind'])} {'to the CRM' if step['side'] == 'crm' else 'to the list service'}{held}"


def _known(act: Row) -> str:
    when = act["at"] or f"not later than {act['before']}"
    return f"opted {act['direction']} ({act['kind']}, by {act['source']}), {when}"


def _plain(row: Row) -> str:
    rest = {name: value for name, value in row.items() if name not in ("at", "what", "record") and value is not None}
    said = ", ".join(f"{_words(name)} {_words(_said(value))}" for name, value in rest.items())
    return f"{_words(row['what'])}: {said}" if said else _words(row["what"])


def _whom(row: Row) -> str:
    """A contact of the CRM, what spoke for it, and how many others were compared."""
    others = len(row.get("alternatives") or ()) + (row.get("more") or 0)
    beside = f"; {others} other{'s' if others > 1 else ''} compared" if others else ""
    return f"contact {row.get('contact')}, individual {row.get('individual')} ({_evidence(row)}){beside}"


def _compared(row: Row) -> str:
    found = [f"contact {one['contact']} ({_evidence(one)})" for one in row.get("candidates") or ()]
    return "compared: " + (", ".join(found) or "nobody")


def _evidence(row: Row) -> str:
    return _words(", ".join(row.get("evidence") or ())) or "no evidence"


def _pairs(values: Row) -> str:
    return ", ".join(f"{_words(name)} {value}" for name, value in values.items())


def _named(what: str) -> str:
    """A field by its name, anything else by its id."""
    from keepstep.model.canonical import FIELDS

    return _words(what) if what in FIELDS or what.startswith("custom:") else f"list, tag or reference {what}"


def _words(name: Any) -> str:
    return str(name).replace("_", " ")


def _age(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{seconds / 60:.0f} min"
