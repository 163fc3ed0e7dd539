"""reports, fields, history"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Documents at a time: all of a hundred thousand people do not go into memory.
PAGE = 500


def upgrade() -> None:
    op.create_table(
        "field",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("field_id", sa.Text(), nullable=False),
        sa.Column("audience", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("crm", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("state", sa.Text(), server_default="live", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "field_id", name=op.f("pk_field")),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("record_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_history_customer_id_party_id_id", "history", ["customer_id", "party_id", "id"])
    op.create_table(
        "report",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("strength", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "platform", "id", name=op.f("pk_report")),
    )
    op.create_index("ix_report_customer_id_platform_record_id", "report", ["customer_id", "platform", "record_id"])
    op.add_column("label", sa.Column("kind", sa.Text(), server_default="list", nullable=False))
    _name_what_was_filled()


def _name_what_was_filled() -> None:
    """A person's `filled` told of the address only, as true or false; now it names the fields."""
    party = sa.table(
        "party", sa.column("customer_id", sa.Text()), sa.column("party_id", sa.Text()), sa.column("doc", sa.JSON())
    )
    tx, place = op.get_bind(), sa.tuple_(party.c.customer_id, party.c.party_id)
    page = sa.select(party).order_by(party.c.customer_id, party.c.party_id).limit(PAGE)
    rows = tx.execute(page).all()
    while rows:
        for row in rows:
            people = [
                {**one, "filled": ["address"] if one.get("filled") is True else []} for one in row.doc.get("people", ())
            ]
            mine = (party.c.customer_id == row.customer_id, party.c.party_id == row.party_id)
            tx.execute(sa.update(party).where(*mine).values(doc={**row.doc, "people": people}))
        rows = tx.execute(page.where(place > sa.tuple_(*(sa.literal(each) for each in rows[-1][:2])))).all()


def downgrade() -> None:
    op.drop_column("label", "kind")
    op.drop_table("report")
    op.drop_table("history")
    op.drop_table("field")
