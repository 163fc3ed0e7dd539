"""A customer without a CRM: what people chose is kept, and nothing is decided towards the side that is not there."""

from dataclasses import replace

import pytest

from keepstep.model.consent import RACED, standing_out
from keepstep.model.contact import AudienceContact, Consent, Report, Side
from keepstep.model.customer import NO_CRM, Route
from keepstep.model.decide import Decision, decide
from keepstep.model.party import Party, Person, Readings, Submission
from tests.model.people import SETTING, subscriber

ALONE = replace(SETTING, alone=True)
PARTY = Party(party_id="p1", people=(Person(record_id="cc1"),))


def decided(contact: AudienceContact | None = None, party: Party = PARTY, *lines: Report) -> Decision:
    readings = Readings(audience={"cc1": contact} if contact else {}, reports={"cc1": lines} if lines else {})
    return decide(party, readings, ALONE)


def test_a_route_knows_whether_there_is_a_crm() -> None:
    assert Route(customer_id="a", crm=NO_CRM).alone
    assert not Route(customer_id="a").alone


@pytest.mark.parametrize("contact", [None, subscriber()])
def test_whoever_is_known_is_left_out_by_rule(contact: AudienceContact | None) -> None:
    found = decided(contact)
    assert [(one.standing, one.reason) for one in found.party.people] == [("left_out", "no_crm")]
    assert (found.steps, found.acts, found.moves) == ((), (), {})


def test_an_opt_out_is_an_act_and_nothing_is_written() -> None:
    known = decided(subscriber()).party
    found = decided(replace(subscriber(), consent=Consent.opted_out, read_at=200.0), known)
    [(member, act)] = found.acts
    assert (member, act.kind, act.direction, act.side, found.steps) == ("cc1", "choice", "out", Side.audience, ())
    assert standing_out(found.party.people[0].acts, "ann@example.org") is not None
    again = decide(found.party, Readings(audience={}), ALONE)
    assert (again.acts, again.party) == ((), found.party)


def test_a_bounce_of_a_report_is_an_act() -> None:
    line = Report(id="r1", record_id="cc1", kind="bounce", at=150.0, strength="hard", code="B")
    [(_, act)] = decided(subscriber(), PARTY, line).acts
    assert (act.kind, act.report) == ("address", "r1")


def test_an_opt_out_under_a_write_of_ours_is_written_again() -> None:
    party = Party(party_id="p1", people=(Person(record_id="cc1", raced=150.0),))
    found = decided(subscriber(), party)
    assert [(step.kind, step.side) for step in found.steps] == [("opt_out", Side.audience)]
    assert [act.code for _, act in found.acts] == [RACED]
    assert found.party.people[0].reason == "step_waiting"


def test_a_creation_of_before_is_not_sent_again() -> None:
    sent = Submission(state="again", since=50.0, sent={"email": "ann@example.org"})
    found = decided(subscriber(), Party(party_id="p1", people=(Person(record_id="cc1", submission=sent),)))
    assert found.steps == ()
