"""What seeds are made of that are made for a mistake: more of what it takes, or fewer nets that catch it before."""

from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_sandbox.people import Person, phone_number
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan
from keepstep_simulator.swarm import Nets

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


def beside(_seed: int) -> Plan:
    """Two workers, and tokens that end often."""
    return Plan(nets=Nets(workers="two"), switches={CONSTANT_CONTACT: {"access_token_lifetime": "short"}})


def lost(seed: int) -> Plan:
    """Many answers are lost after their effect."""
    return Plan(chaos=Chaos(seed, call_rate=0.15, kinds=("reset_after",)))


def restored(seed: int) -> Plan:
    """An older disk is put back, and nothing else befalls the process."""
    given = {"mishaps restores": 0.99, "mishaps skews": 0.0, "mishaps pauses": 0.0}
    return Plan(given=given, chaos=Chaos(seed), nets=Nets())


def unstored(seed: int) -> Plan:
    """Tokens end often, and the disk fails often."""
    kind = {"access_token_lifetime": "short", "refresh_mode": "rotating", "refresh_grace": "0"}
    return Plan(customers=1, people=(4, 4), chaos=Chaos(seed, commit_rate=0.1), switches={CONSTANT_CONTACT: kind})


def tagged_together(seed: int) -> Plan:
    """Staff tag two contacts at once, and webhooks tell of it."""
    return Plan(given={f"deed customer-{one} are_tagged?": 0.0 for one in (0, 1)}, nets=Nets(), chaos=Chaos(seed))
