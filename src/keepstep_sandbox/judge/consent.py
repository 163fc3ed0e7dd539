"""Whether every opt-out arrived and held, nobody's was invented, and a return was honoured."""

from collections.abc import Iterator
from dataclasses import dataclass

from keepstep_sandbox.http import Effect
from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import MAILABLE, OUT, Evidence, Finding, Member
from keepstep_sandbox.judge.mail import Mail
from keepstep_sandbox.judge.values import LOST, WRONG
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Act


@dataclass(frozen=True, slots=True)
class OutAct:
    """Somebody may not be mailed any more. A deletion binds only what Virtuous does."""

    t: float
    member: str
    address: str
    deletion: bool = False


def _dated(act: Act) -> bool:
    """Whether the contact shows when the person came back."""
    return any(effect.field == "email_address.opt_in_date" for effect in act.effects)


class Consent:
    """The opt-outs of the whole log, and what became of them."""

    def __init__(self, evidence: Evidence, mail: Mail) -> None:
        self._evidence, self._mail = evidence, mail
        acts = list(evidence.acts_of(CONSTANT_CONTACT, "person_opts_in"))
        self._back = {act.record: act.t for act in acts if _dated(act)}
        # Where no opt_in_date moves, nothing proves that the person came back after the opt-out.
        self.unproven = frozenset(act.record for act in acts) - self._back.keys()
        self.proven_back = frozenset(self._back)
        self._holders = {member.address: member for member in evidence.members.values() if member.address}
        self._addresses = {str(method["id"]): fields.email(method["value"]) for _c, _i, method in evidence.methods()}
        everything = [*self._at_audience(), *self._by_staff()]
        self._ever = {act.member for act in everything} | {act.address for act in everything}
        self.acts = [act for act in everything if self._back.get(act.member, float("-inf")) < act.t]
        self._undone = self._turned_in()

    def applied(self) -> int:
        """How many opt-outs hold everywhere."""
        return sum(not self._open(act) for act in self.acts)

    def findings(self) -> Iterator[Finding]:
        """Opt-outs not applied, opt-outs nobody asked for, returns that were not honoured."""
        for act in self.acts:
            if reason := self._open(act):
                yield Finding("opt_outs_applied", act.member, reason)
        for member in self._evidence.members.values():
            yield from self._invented(member)
        gone = {act.member for act in self.acts}
        for number in self._back.keys() - gone:
            member = self._evidence.members[number]
            closed = member.linked and member.method is not None and not member.method["isOptedIn"]
            if closed and member.mailable and not self._born_out(member):
                yield Finding(LOST, number, "consent: the person's own return is absent")

    def _open(self, act: OutAct) -> str:
        """Why an opt-out is not applied; empty where it is."""
        holder = self._holders.get(act.address)
        returned = act.deletion or act.member in self.unproven
        if holder is not None and not returned and not holder.deleted and holder.permission in MAILABLE:
            return "still mailable at Constant Contact"
        for _contact, _individual, method in self._evidence.methods():
            same = fields.is_email(method) and fields.email(method["value"]) == act.address
            if same and method["isOptedIn"]:
                return "still opted in at Virtuous"
        return "was turned back in on the way" if act.address in self._undone else ""

    def _invented(self, member: Member) -> Iterator[Finding]:
        """A linked person whom nobody opted out may be mailed on both sides."""
        if member.deleted or not {member.id, member.address}.isdisjoint(self._ever):
            return
        if member.permission == OUT:
            yield Finding(WRONG, member.id, "consent: opted out at Constant Contact by nobody")
        out = member.mailable and member.linked and member.method is not None and not member.method["isOptedIn"]
        if out and not self._entered_out(member) and not self._mail.bounced(member) and not self._born_out(member):
            yield Finding(WRONG, member.id, "consent: opted out at Virtuous by nobody")

    def _entered_out(self, member: Member) -> bool:
        """Whether staff entered the contact with isOptedIn false."""
        return any(
            fields.email(method["value"]) == member.address and method.get("isOptedIn") is False
            for act in self._evidence.acts_of(VIRTUOUS, "add_contact")
            for individual in act.data.get("contactIndividuals") or ()
            for method in individual.get("contactMethods") or ()
        )

    def _born_out(self, member: Member) -> bool:
        """Whether imports of this organization opt nobody in, which nobody may make good for them."""
        return self._evidence.world.virtuous.switches["opt-in-default"] == "false" and member.method is not None

    def _at_audience(self) -> Iterator[OutAct]:
        complaints = self._evidence.world.constant_contact.switches["complaint"] != "count_only"
        kinds = ("person_opts_out", "campaign_opt_out", "delete", *(("complain",) if complaints else ()))
        for act in self._evidence.acts_of(CONSTANT_CONTACT, "add_person", "edit", *kinds):
            member = self._evidence.members.get(act.record)
            out = act.kind in kinds or act.data.get("permission") == OUT
            if member is not None and out and member.address:
                yield OutAct(act.t, act.record, member.address, act.kind == "delete")

    def _by_staff(self) -> Iterator[OutAct]:
        for act in self._evidence.acts_of(VIRTUOUS, "staff_opts"):
            address = self._addresses.get(act.record, "")
            holder = self._holders.get(address)
            # Of a method that was closed already, nobody can see that staff meant it.
            seen = any(effect.field == "isOptedIn" for effect in act.effects)
            if address and seen and not act.data["opted_in"]:
                yield OutAct(act.t, holder.id if holder else "", address)

    def _turned_in(self) -> frozenset[str]:
        """Addresses that the service itself turned from out to in although the person did not come back."""
        found = set()
        for vendor in (CONSTANT_CONTACT, VIRTUOUS):
            for at, effect in self._evidence.service_effects(vendor):
                address = self._address_turned(effect)
                holder = self._holders.get(address)
                back = self._back.get(holder.id, float("inf")) if holder else float("inf")
                if address and back > at:
                    found.add(address)
        return frozenset(found)

    def _address_turned(self, effect: Effect) -> str:
        number = effect.record.partition(":")[2]
        if effect.field == "isOptedIn" and effect.before is False and effect.after is True:
            return self._addresses.get(number, "")
        turned = effect.field.endswith("permission_to_send") and effect.before == OUT and effect.after in MAILABLE
        member = self._evidence.members.get(number)
        return member.address if turned and member is not None else ""
