"""The stand-in for Constant Contact."""

from keepstep_sandbox.constant_contact.registry import SWITCHES
from keepstep_sandbox.constant_contact.stand_in import ConstantContact
from keepstep_sandbox.constant_contact.webhooks import ContactDelivery

__all__ = ["SWITCHES", "ConstantContact", "ContactDelivery"]
