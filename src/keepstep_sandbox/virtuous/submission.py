"""A row in the hold: a posted transaction that no batch has run yet (Virtuous facts 10.3)."""

from dataclasses import dataclass, field
from typing import Any

WAITING = "waiting"
MATCH_NEEDED = "Match Needed"
UPDATE_NEEDED = "Update Needed"
READY = "Ready for Import"


@dataclass(slots=True, eq=False)
class Row:
    """`bucket` is `waiting` until a batch has sorted it; `candidates` are contact ids, best first."""

    id: int
    fields: dict[str, Any]
    submitted: float
    bucket: str = WAITING
    candidates: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """One value as text, empty where absent."""
        value = self.fields.get(name)
        return "" if value is None else str(value).strip()

    def tags(self) -> list[str]:
        """One string with semicolons, each name once (Virtuous facts 10.1)."""
        return list(dict.fromkeys(name.strip() for name in self.text("tags").split(";") if name.strip()))

    def reference(self) -> tuple[str, str] | None:
        source, reference = self.text("referenceSource"), self.text("referenceId")
        return (source, reference) if source and reference else None

    def says_anything(self) -> bool:
        """Whether the row could become a contact at all."""
        return any(self.text(name) for name in ("name", "firstName", "lastName", "email", "phone"))

    def shape(self) -> dict[str, Any]:
        """For the control door."""
        return {
            "id": self.id,
            "bucket": self.bucket,
            "submitted": self.submitted,
            "candidates": list(self.candidates),
            "reasons": list(self.reasons),
            "row": dict(self.fields),
        }
