"""A simulated week: people, staff and bad luck on both sides, drawn from a seed."""

from keepstep_sandbox.week.week import Week

__all__ = ["Week"]
