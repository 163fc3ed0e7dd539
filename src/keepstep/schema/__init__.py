"""The tables, their states and transitions, and the migrations that make them."""

from keepstep.schema import feeds, oversight, tables

__all__ = ["feeds", "oversight", "tables"]
