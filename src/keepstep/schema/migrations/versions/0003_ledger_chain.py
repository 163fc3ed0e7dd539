"""ledger chain"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WORDS = ("customer_id", "party_id", "platform", "record_id", "address_hash", "kind", "direction", "source")
INSTANTS = ("after", "before", "at", "seen_at")
PAGE = 2000


def upgrade() -> None:
    op.add_column("act", sa.Column("previous", sa.Text(), server_default="unsealed", nullable=False))
    op.add_column("act", sa.Column("seal", sa.Text(), server_default="unsealed", nullable=False))
    op.create_index("ix_act_customer_id_id", "act", ["customer_id", "id"])
    _seal_what_is_there()


def _seal_what_is_there() -> None:
    """As state/chain.py seals new rows."""
    columns = [sa.column("id"), *map(sa.column, (*WORDS, *INSTANTS)), sa.column("evidence", sa.JSON())]
    act = sa.table("act", *columns, sa.column("previous"), sa.column("seal"))
    tx = op.get_bind()
    ends: dict[str, str] = {}
    after = 0
    while (
        rows := tx.execute(sa.select(*columns).where(act.c.id > after).order_by(act.c.id).limit(PAGE)).mappings().all()
    ):
        for row in rows:
            previous = ends.get(row["customer_id"], "")
            ends[row["customer_id"]] = own = _seal(dict(row), previous)
            tx.execute(sa.update(act).where(act.c.id == row["id"]).values(previous=previous, seal=own))
        after = rows[-1]["id"]


def _seal(row: dict[str, Any], previous: str) -> str:
    said = {name: row[name] for name in (*WORDS, "evidence")}
    said |= {name: None if row[name] is None else float(row[name]) for name in INSTANTS}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256((previous + text).encode()).hexdigest()


def downgrade() -> None:
    op.drop_index("ix_act_customer_id_id", "act")
    op.drop_column("act", "seal")
    op.drop_column("act", "previous")
