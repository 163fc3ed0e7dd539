"""I34 to I36: hand-made stories in which they are broken, and their neighbours in which they are not."""

import base64
from urllib.parse import quote

import pytest

from keepstep_simulator.invariants.secrecy import SHOWN, allowed_hosts, no_person_told, no_secret_told
from keepstep_simulator.story import digested
from tests.simulator.invariants.telling import CC, Told, contact, eff, ended, household, out, rsp, story, tx

SECRET = "s3cret-of+the/house-77"
TOKEN = "granted-by-the-vendor"
CODED = base64.b64encode(SECRET.encode()).decode()
STORED = tx(("secret", "INSERT", {"platform": CC, "field": "client_secret", "print": digested(SECRET)}))
NAMED = tx(("secret", "INSERT", {"platform": CC, "field": "client_id", "print": digested("our-application-1")}))
GRANTED = (out("1", "/token", credential=digested("shown")), rsp("1", granted=(digested(TOKEN),)))


def log(line: str) -> Told:
    return Told("LOG", "turn", {"line": line})


FORMS = {
    "plain": SECRET,
    "in a URL": f"https://x/hooks?key={quote(SECRET, safe='')}",
    "hex": SECRET.encode().hex(),
    "base64": f"token={CODED}",
    "base64 without its end": CODED.rstrip("="),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "a pair in base64": "Basic " + base64.b64encode(f"client:{SECRET}".encode()).decode(),
    "JSON in JSON": '{"line": "{\\"key\\": \\"' + SECRET + '\\"}"}',
    "at the end of a sentence": f"it was {SECRET}.",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    """In a line of the log."""
    assert [one.invariant for one in no_secret_told(story(STORED, log(FORMS[form])))[0]] == ["I34"]


@pytest.mark.parametrize(
    "line", ["turn of customer-0", "our-application-1", SECRET[:-1], CODED[:20], "2026-03-02T14:00:00Z", "x" * 64]
)
def test_other_words_are_no_secrets(line: str) -> None:
    """Nor what an application is called."""
    assert no_secret_told(story(STORED, NAMED, log(line))) == ([], 1)


OUTPUTS = {
    "an answer at the door": (Told("ACK", "h", {"status": 400, "body": SECRET}),),
    "an error of a task": (Told("TASK", "run", {"error": f"ValueError {SECRET}"}),),
    "the address of a call": (out("2", "/v3/contacts", credential=digested("a"), query=f"access_token={SECRET}"),),
}


@pytest.mark.parametrize("where", OUTPUTS)
def test_secrets_are_looked_for_wherever_something_is_told(where: str) -> None:
    """Not in logs alone."""
    assert len(no_secret_told(story(STORED, *OUTPUTS[where]))[0]) == 1


@pytest.mark.parametrize("table", SHOWN)
def test_secrets_are_looked_for_in_what_is_stored_to_be_shown(table: str) -> None:
    """And nowhere is one column forgotten."""
    for column in SHOWN[table]:
        row = dict.fromkeys(SHOWN[table]) | {column: f'{{"answer": "{SECRET}"}}'}
        assert len(no_secret_told(story(STORED, final=ended(**{table: (row,)})))[0]) == 1


def test_what_a_vendor_granted_or_was_shown_is_secret_before_it_is_stored() -> None:
    """A token that was never kept is one all the same."""
    assert len(no_secret_told(story(*GRANTED, log(TOKEN)))[0]) == 1
    assert no_secret_told(story(log(TOKEN)))[0] == []


ANA = contact(
    "ana", "ana@example.org", first_name="Ana", last_name="Lee", phone_numbers=[{"phone_number": "(201) 555-0142"}]
)
ANA["street_addresses"] = [{"street": "29 Old Post Road"}]
PEOPLE = ended([ANA], [household(7, "ana@example.org", "ana", lastName="Ortega")])
LINES = {
    '{"event": "page", "platform": "virtuous", "records": 20}': False,
    '{"customer": "customer-0", "at": "2026-03-02T14:00:00Z"}': False,
    '{"event": "page", "seconds": 2015550143}': False,
    "Analysis of Leeds": False,
    "for Ana": True,
    '{"reason":"Ortega"}': True,
    "ana@example.org": True,
    "somebody@elsewhere.example": True,
    "call +1 201-555-0142": True,
    "at 29 Old Post Road": True,
    "now called Lindqvist": True,
}


@pytest.mark.parametrize("line", LINES)
def test_no_line_of_the_log_tells_of_a_person(line: str) -> None:
    """By name, address or number, as it is at the end or was before."""
    told = (eff("individual:8", "lastName", "Lindqvist", "Ortega", actor="staff"), log(line))
    assert bool(no_person_told(story(*told, final=PEOPLE))[0]) == LINES[line]


def test_a_log_that_nobody_hears_proves_nothing() -> None:
    """The premise is a line."""
    assert no_person_told(story(final=PEOPLE)) == ([], 0)
    assert no_person_told(story(log("turn"), final=PEOPLE)) == ([], 1)


@pytest.mark.parametrize(
    ("host", "count"),
    [
        ("api.cc.email", 0),
        ("authz.constantcontact.com", 0),
        ("api.virtuoussoftware.com", 0),
        ("api.cc.email.example", 1),
        ("127.0.0.1:80", 1),
    ],
)
def test_calls_go_to_the_allowed_hosts(host: str, count: int) -> None:
    """And to nobody else."""
    found, premise = allowed_hosts(story(out("1", "/v3", host=host)))
    assert (len(found), premise) == (count, 1)
