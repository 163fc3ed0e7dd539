"""Who may wait for a person's answer, and for which one. Whoever else is claimed to wait is lost."""

from keepstep_sandbox.judge.consent import Consent
from keepstep_sandbox.judge.evidence import Evidence, Member
from keepstep_sandbox.judge.mail import Mail
from keepstep_sandbox.log import CONSTANT_CONTACT

NO_OWN_ACT = "back_without_own_act"
LAPSED = "bounce_lapsed"


class Parkings:
    """Ambiguities that were planted, and what the week made of people since."""

    def __init__(self, evidence: Evidence, mail: Mail, consent: Consent) -> None:
        self._evidence, self._mail = evidence, mail
        revived = {act.record for act in evidence.acts_of(CONSTANT_CONTACT, "revive")}
        # A method that the import made shut was shut by nobody: what lapses leaves no question (Virtuous facts 17).
        self._born_shut = evidence.world.virtuous.switches["opt-in-default"] == "false"
        self._back = (revived | consent.unproven) - consent.proven_back

    def must(self, member: Member) -> str:
        """The reason for which somebody must be parked; empty for none."""
        if member.id in self._evidence.planted:
            return self._evidence.planted[member.id]
        if self._shut(member) and member.id in self._back:
            return NO_OWN_ACT
        return LAPSED if self._has_lapsed(member) and not self._born_shut else ""

    def _shut(self, member: Member) -> bool:
        there = member.mailable and member.linked and member.method is not None
        return bool(there and member.method is not None and not member.method["isOptedIn"])

    def _has_lapsed(self, member: Member) -> bool:
        return self._shut(member) and self._mail.lapsed(member)

    def refuted(self, member: Member, reason: str) -> str:
        """Why a claim that somebody waits for an answer is not so; empty where it is."""
        must = self.must(member)
        if not must:
            return "" if LAPSED in reason and self._has_lapsed(member) else f"nothing ambiguous ({reason})"
        return "" if must in reason else f"for {reason}, it had to be {must}"
