"""`keepstep init` and `keepstep doctor`."""

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keepstep.cli.console import (
    FAILED,
    FINE,
    NEEDS_A_PERSON,
    AsJson,
    MaybeCustomer,
    config_path,
    described,
    run,
    say,
    settings,
    show,
)
from keepstep.cli.service import open_service

if TYPE_CHECKING:
    from keepstep.settings import Settings

Check = dict[str, Any]

TEMPLATE = """\
# Keepstep's settings: customers, routes, policy. No secrets in here: they are stored sealed, see `keepstep customer
# add`. Environment variables override this file: KEEPSTEP_DATABASE, KEEPSTEP_LISTEN, KEEPSTEP_PUBLIC_URL,
# KEEPSTEP_KEY_FILE, KEEPSTEP_CONSTANT_CONTACT_URL, KEEPSTEP_CONSTANT_CONTACT_AUTH_URL, KEEPSTEP_VIRTUOUS_URL.

[service]
database = "sqlite:///keepstep.db"   # or postgresql://user@host/name; then any number of workers
listen = "127.0.0.1:8080"            # webhooks arrive here; put TLS in front of it
# public_url = "https://keepstep.example.org"   # how the vendors reach `listen`; without it there are no webhooks
key_file = "keepstep.key"            # opens the stored secrets; back it up apart from the database
log = "text"                         # or json

[platforms.constant_contact]
base_url = "https://api.cc.email/v3"
auth_url = "https://authz.constantcontact.com"
application_key = "default"          # customers that share an application share its limits
per_second = 4
per_day = 10000

[platforms.virtuous]
base_url = "https://api.virtuoussoftware.com"
per_hour = 1200                      # what we use of the organization's budget at most

# One customer: the name after the dot is the ID of `keepstep customer add`. Without a section here a customer gets the
# defaults, which are the values below.
#
# [customers.acme]
# name = "Acme Foundation"
#
# [customers.acme.route]
# audience = "constant_contact"
# crm = "virtuous"                  # or none: lists are only filled from a table
# reference_source = "Constant Contact"
# tag_prefix = "CC: "
# opted_out_people = "create"        # or leave_out
# added_tag_goes_to = "primary"      # or all: which people of a household a new tag means
# unknown_tags = "withhold"          # or send
# stage = "both"                     # or observe, or one_way: how far the route goes
# fields_to_audience = []            # or some of first_name, last_name, phone, address: staff's edits go back
# brake_floor = 20                   # more changes a day that are only inferred wait for a person
# crm_only = "leave"                 # or external, or create: people whom only the CRM has
# phone_region = "US"
# gate = "15m"                       # opt-outs must be read this freshly before anybody is added to a list
#
# [customers.acme.route.owners]      # who wins when both sides changed a field
# first_name = "crm"
# last_name = "crm"
# phone = "crm"
# address = "crm"
#
# [customers.acme.cadence]           # a duration, "15 min", "hourly", "daily" or "weekly"; at least a minute
# opted_out = "15 min"
# changed = "hourly"
# deleted = "hourly"
# reports = "hourly"
# lists = "hourly"
# fields = "daily"
# sweep = "daily"                    # less often where the application key's day would not carry it
# crm_changed = "hourly"
#
# [customers.acme.feeds.members]     # people of an SQL table to lists; the password: keepstep feed connect
# database = "mysql://keepstep@db.example.org:3306/office"
# table = "members"
# key = "id"
# changed = "changed_at"             # or new_rows_only = true
# lists = ["Members"]                # names or ids
# schedule = "daily"                 # or a cron line, in `zone`
# permission_evidence = "Members agree to mail in the form by which they join."
# columns = {email = "email", first_name = "first_name", last_name = "last_name"}
"""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(init)
    app.command()(doctor)


def init(as_json: AsJson = False) -> None:
    """Make a settings file with comments and a key file; what is there already is kept."""
    from keepstep.settings import load
    from keepstep.state.keys import write_key_file

    path = config_path()
    made = [str(path)] if _made(path, lambda: _write_new(path, TEMPLATE)) else []
    named = {name: value for name, value in os.environ.items() if name == "KEEPSTEP_KEY_FILE"}
    key_file = Path(load(path, named).service.key_file)
    if _made(key_file, lambda: write_key_file(key_file, secrets.token_bytes)):
        made.append(str(key_file))
    show({"made": made, "settings": str(path), "key_file": str(key_file)}, as_json)
    if made:
        say("next: add a customer with `keepstep customer add ID`, then `keepstep doctor`", as_json)
    else:
        say("nothing to make, both were there; next: `keepstep doctor`", as_json)


def _made(path: Path, make: Callable[[], object]) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make()
    except FileExistsError:
        return False
    return True


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def doctor(customer: MaybeCustomer = None, as_json: AsJson = False) -> None:
    """Check settings, key file, database, credentials and accounts; with --customer, also the readiness for production.

    Says for each what to do. 3 if only a person is missing.
    """
    from keepstep.cli import page

    checks, lines = run(_checked(customer))
    if as_json:
        show({"checks": checks} | ({"readiness": lines} if customer else {}), as_json)
    else:
        show(checks, as_json)
        if lines:
            page.readiness(lines)
    raise typer.Exit(_code(checks, lines))


def _code(checks: Sequence[Check], lines: Sequence[Check]) -> int:
    wrong = [each for each in lines if each["state"] == "fail"]
    states = {each["state"] for each in checks} | {"person" if each["person"] else "failed" for each in wrong}
    return FAILED if "failed" in states else NEEDS_A_PERSON if "person" in states else FINE


async def _checked(customer: str | None) -> tuple[list[Check], list[Check]]:
    """Each check needs the one before it, so the first failure ends them."""
    from keepstep.wiring.vault import keys_from

    checks: list[Check] = []
    lines: list[Check] = []
    try:
        found: Settings = settings()
        checks.append(_check("settings", found.path or "defaults and environment"))
        checks.append(_check("key file", keys_from(found, os.environ)))
        async with open_service(found) as service:
            checks.append(_check("database", service.db.dialect))
            checks += [dict(each) for each in await service.check(customer)]
            lines += [dict(each) for each in (await service.ready_for_production(customer) if customer else ())]
    except Exception as error:  # every failure is a finding
        checks += _failures(error, ("settings", "key file", "database", "accounts")[min(len(checks), 3)])
    return checks, lines


def _failures(error: Exception, name: str) -> list[Check]:
    what, then, code = described(error)
    state = "person" if code == NEEDS_A_PERSON else "failed"
    return [_check(name, line, state, then) for line in what.splitlines() or [""]]


def _check(name: str, detail: str, state: str = "ok", then: str = "") -> Check:
    return {"customer": None, "platform": None, "check": name, "state": state, "detail": detail, "next": then}
