"""rows of SQL tables, alerts, and secrets that are kept elsewhere"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feed_row",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("lists", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("permission_at", sa.Float(), nullable=True),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("read_at", sa.Float(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "feed", "row_id", name=op.f("pk_feed_row")),
    )
    with op.batch_alter_table("feed_row", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feed_row_customer_id_party_id"), ["customer_id", "party_id"], unique=True)
        batch_op.create_index(batch_op.f("ix_feed_row_customer_id_address"), ["customer_id", "address"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_feed_row_customer_id_feed_state"), ["customer_id", "feed", "state"], unique=False
        )

    op.create_table(
        "alert",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column("times", sa.Integer(), server_default="1", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.Column("closed", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alert_state_due"), ["state", "due"], unique=False)
        batch_op.create_index(
            "uq_alert_open",
            ["customer_id", "kind", "subject"],
            unique=True,
            sqlite_where=sa.text("closed IS NULL"),
            postgresql_where=sa.text("closed IS NULL"),
        )

    with op.batch_alter_table("secret", schema=None) as batch_op:
        batch_op.alter_column("key_id", existing_type=sa.Text(), nullable=True)
        batch_op.alter_column("nonce", existing_type=sa.LargeBinary(), nullable=True)
        batch_op.alter_column("ciphertext", existing_type=sa.LargeBinary(), nullable=True)
        batch_op.add_column(sa.Column("place", sa.Text(), nullable=True))

    _kept_for_a_while()


def _kept_for_a_while() -> None:
    """When a dead letter was resolved, which is unknown of those before; and what is found by its age."""
    with op.batch_alter_table("dead_letter", schema=None) as batch_op:
        batch_op.add_column(sa.Column("resolved", sa.Float(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_dead_letter_customer_id_resolved"), ["customer_id", "resolved"], unique=False
        )
    # As old as they are: nobody waits longer than they did.
    op.execute("UPDATE dead_letter SET resolved = at WHERE state <> 'open'")
    # Keeping house is no platform's chore any more: under the old name nobody would ever do it.
    op.execute("UPDATE mark SET platform = 'keepstep' WHERE name = 'prune'")
    for table in ("history", "journal"):
        op.create_index(op.f(f"ix_{table}_customer_id_at"), table, ["customer_id", "at"], unique=False)
