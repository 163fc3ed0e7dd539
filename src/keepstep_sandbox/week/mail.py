"""What comes back of a mailing: bounces of every class, automatic answers, opt-outs and complaints (CC facts 8)."""

from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_sandbox.week.happenings import edits
from keepstep_sandbox.week.scene import Scene

HARD, SOFT, ANSWERED = ("B", "S"), ("D", "F", "X", "Z"), "V"


def mails_everybody(scene: Scene) -> bool:
    """Staff send a campaign to all who may be mailed."""
    scene.act(CONSTANT_CONTACT, "send_campaign")
    return True


def bounces_hard(scene: Scene, who: int) -> bool:
    """The address does not exist, or was suspended."""
    return _bounces(scene, who, HARD[who % len(HARD)])


def bounces_softly(scene: Scene, who: int) -> bool:
    """Undeliverable, mailbox full, other, blocked."""
    return _bounces(scene, who, SOFT[who % len(SOFT)])


def answers(scene: Scene, who: int) -> bool:
    """An automatic answer: the mail was delivered."""
    return _bounces(scene, who, ANSWERED)


def opts_out_of_campaign(scene: Scene, who: int) -> bool:
    """The person follows the link in the mail."""
    scene.act(CONSTANT_CONTACT, "campaign_opt_out", contact_id=scene.ids[who], reason="I get too many of these")
    return True


def complains(scene: Scene, who: int) -> bool:
    """The person calls the mail spam."""
    scene.act(CONSTANT_CONTACT, "complain", contact_id=scene.ids[who])
    return True


def moves_away(scene: Scene, who: int) -> bool:
    """The person has a new address; mail to the old one is still on its way."""
    return scene.crm(who) is not None and edits(scene, who, email=f"away{who}@example.net")


def old_address_bounces(scene: Scene, who: int) -> bool:
    """The mail to the old address comes back after the person has left it."""
    return scene.audience(who)["email_address"]["address"].startswith("away") and _bounces(scene, who, "B")


def _bounces(scene: Scene, who: int, code: str) -> bool:
    scene.act(CONSTANT_CONTACT, "bounce", contact_id=scene.ids[who], code=code)
    return True
