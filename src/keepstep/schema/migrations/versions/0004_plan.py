"""plan"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("first", sa.Boolean(), nullable=False),
        sa.Column("made", sa.Float(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("doc", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_plan")),
    )
    op.create_table(
        "plan_party",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "party_id", name=op.f("pk_plan_party")),
    )
