"""What seeds are made of that are made for a mistake: more of what it takes, or fewer nets that catch it before."""

from keepstep.model.customer import Policy
from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_sandbox.people import Person, phone_number
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan
from keepstep_simulator.swarm import BACK, Nets

WORK = {"kind": "work", "street": "9 Office Park", "city": "Tempe", "state": "AZ", "postal_code": "85281"}
HOME = {"kind": "home", "street": "1 Elm Street", "city": "Mesa", "state": "AZ", "postal_code": "85201"}
ABROAD = {"kind": "home", "street": "3 Mill Lane", "city": "Lyon", "postal_code": "69001"}


def plain(seed: int) -> Plan:
    """People whose records are in order, but not as one expects: the home address comes second, no country is named."""
    people = (
        Person("Ann", "Lee", "ann@example.org", addresses=[WORK, HOME], lists=["Events"]),
        Person("Bob", "Moor", "bob@example.org", addresses=[ABROAD], phones=[("work", phone_number(1))]),
        Person("Cat", "Nye", "cat@example.org", addresses=[WORK], lists=["Donor Updates", "Events"]),
    )
    return Plan(customers=1, crowd=people, chaos=Chaos(seed), nights=2, switches={})


def week(seed: int) -> Plan:
    """The stand-ins' own week, in which everything happens that an integration does not expect."""
    return Plan(customers=1, people=(40, 40), chaos=Chaos(seed), week=True)


def beside(_seed: int) -> Plan:
    """Two workers, and tokens that end often."""
    return Plan(nets=Nets(workers="two"), switches={CONSTANT_CONTACT: {"access_token_lifetime": "short"}})


def failing(seed: int) -> Plan:
    """The disk fails now and then."""
    return Plan(chaos=Chaos(seed, commit_rate=0.05))


def lost(seed: int) -> Plan:
    """Many answers are lost after their effect."""
    return Plan(chaos=Chaos(seed, call_rate=0.15, kinds=("reset_after",)))


def pressing(_seed: int) -> Plan:
    """Fields go back, and people and staff act between two calls of ours that belong together."""
    policy = Policy(contact_tags_prefix="CC tag: ", fields_to_audience=BACK)
    return Plan(policy=policy, agitation=1.0, people=(16, 16), mishaps=False)
