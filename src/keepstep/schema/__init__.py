"""The tables, their states and transitions, and the migrations that make them."""

from keepstep.schema import oversight, tables

__all__ = ["oversight", "tables"]
