"""A stand-in for Virtuous CRM+: the API, the nightly import, the webhooks and the staff, as one pure state machine."""

from keepstep_sandbox.virtuous.machine import Virtuous
from keepstep_sandbox.virtuous.outbox import Delivery
from keepstep_sandbox.virtuous.switchboard import SWITCHES

__all__ = ["SWITCHES", "Delivery", "Virtuous"]
