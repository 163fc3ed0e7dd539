"""Which safety nets a seed has, how often the product looks, and what its route says.

A net that is always there hides what another one misses, so each seed draws which are on. What is seen by no net that a
seed has does not happen in it (deeds.py): a seed demands what its nets promise, and all of that.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from keepstep.model.customer import Cadence, Policy
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.world import START
from keepstep_simulator.script import Script, cadence_of

HOUR, DAY = 3600.0, 86_400.0
TAGS_PREFIX = "CC tag: "
NEVER = 60 * DAY  # longer than any seed: the first round runs, for it loads everybody, and no other
BACK = ("first_name", "last_name", "phone", "address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nets:
    """What is there. The first value of each is the whole net.

    webhooks: Virtuous's come | are silenced at the vendor | there is no address for them. hints: Constant Contact's
    come too | not. poll, crm_sweep, changed, deleted, sweep, reports, reconcile: the product's own rounds. operator:
    mends whatever the service asks for | connects accounts again and nothing else. workers: processes at work from the
    beginning. pages: of polls, as many rows as asked for | a few. logs: what the service writes to its log is in the
    story | not.
    """

    webhooks: str = "come"
    hints: str = "none"
    poll: str = "on"
    crm_sweep: str = "on"
    changed: str = "on"
    deleted: str = "on"
    sweep: str = "on"
    reports: str = "on"
    reconcile: str = "on"
    operator: str = "mends"
    workers: str = "one"
    pages: str = "whole"
    logs: str = "unheard"

    @property
    def hears(self) -> bool:
        """Whether webhooks of Virtuous come."""
        return self.webhooks == "come"

    @property
    def only_webhooks(self) -> bool:
        """Whether nothing but webhooks tells what staff do in Virtuous: none of them may be lost then."""
        return self.poll == self.crm_sweep == "off"

    def sees(self, road: str) -> bool:
        """Whether what comes by this road (deeds.py) is seen for certain."""
        return {
            "edit": "on" in (self.changed, self.sweep),
            "quiet": self.sweep == "on",
            "deletion": "on" in (self.deleted, self.sweep),
            "mail": self.reports == "on",
            # A bounce of an address that was left is one only for whoever saw it left before.
            "move": self.reports == self.changed == "on",
            "opt_out": True,  # the poll of opt-outs always runs
            "crm": True,
        }[road]


_DRAWN: Mapping[str, tuple[str, ...]] = {
    "webhooks": ("come", "come", "come", "silent", "none"),
    "hints": ("none", "none", "come"),
    "poll": ("on", "on", "off"),
    "crm_sweep": ("on", "on", "off"),
    "changed": ("on", "on", "off"),
    "deleted": ("on", "on", "off"),
    "sweep": ("on", "on", "on", "off"),
    "reports": ("on", "on", "off"),
    "reconcile": ("on", "off"),
    "operator": ("mends", "mends", "connects"),
    "pages": ("whole", "whole", "small"),
    "workers": ("one", "one", "one", "one", "two"),
    "logs": ("unheard", "unheard", "unheard", "heard"),
}
# Seconds between two rounds: least, most.
_EVERY: Mapping[str, tuple[float, float]] = {
    "opted_out": (2 * HOUR, 10 * HOUR),
    "changed": (4 * HOUR, 12 * HOUR),
    "deleted": (4 * HOUR, 12 * HOUR),
    "lists": (5 * HOUR, 12 * HOUR),
    "reports": (5 * HOUR, 12 * HOUR),
    "crm_changed": (4 * HOUR, 12 * HOUR),
    "obligations": (2 * HOUR, 5 * HOUR),
}
_ROUNDS = {"poll": "crm_changed"}


def nets(script: Script, switches: Mapping[str, Mapping[str, str]]) -> Nets:
    """The nets of a seed. One that is struck out of the script is as the class has it."""
    whole = Nets()
    drawn = {name: script.pick(f"net {name}", values) for name, values in _DRAWN.items()}
    for name, value in drawn.items():
        if value != getattr(whole, name) and not script.plays(f"net {name}", START, value=value):
            drawn[name] = getattr(whole, name)
    found = Nets(**drawn)
    if switches.get(CONSTANT_CONTACT, {}).get("page_shift") == "delete":
        found = replace(found, pages="whole")  # it swallows the same row of every round: nobody could ever see it
    late = switches.get(VIRTUOUS, {}).get("webhook-delay") == "hours"
    # Somebody must see what staff do: webhooks alone are enough only where they come, and in time.
    return replace(found, crm_sweep="on") if found.only_webhooks and (late or not found.hears) else found


def cadence(script: Script, there: Nets) -> Cadence:
    """How often each round runs: hours, for every round is a turn; and what is off, never again after the first."""
    drawn = {name: script.uniform(f"cadence {name}", *span) for name, span in _EVERY.items()}
    found = asdict(cadence_of(script, replace(Cadence(), **drawn)))
    for one in fields(Nets):
        if getattr(there, one.name) == "off":
            found[_ROUNDS.get(one.name, one.name)] = NEVER
    return Cadence(**found)


def policy(script: Script, there: Nets) -> Policy:
    """What every customer's route of a seed says."""
    back = script.pick("policy fields_to_audience", (BACK, BACK, ()))
    floor = script.pick("policy brake_floor", (20, 20, 0))
    said: dict[str, Any] = {"fields_to_audience": back, "brake_floor": floor}
    usual = Policy()
    played = {
        name: value
        for name, value in said.items()
        if value != getattr(usual, name) and script.plays(f"policy {name}", START, value=value)
    }
    return Policy(contact_tags_prefix=TAGS_PREFIX, contact_webhooks=there.hints == "come", **played)
