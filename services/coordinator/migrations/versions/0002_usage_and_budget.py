"""What calls used and cost, their sums, and what a task of a budgeted run may cost."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBERS = ("items", "calls", "prompt_tokens", "cached_tokens", "completion_tokens")


def upgrade() -> None:
    op.add_column("tasks", sa.Column("estimate_nanos", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "calls",
        *_key("run_id", "iteration", "phase", "image", "attempt", "number"),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("model_revision", sa.Text(), nullable=False),
        *_used(),
    )
    op.create_table("usage_totals", *_key("run_id", "iteration", "role"), *_used())


def downgrade() -> None:
    op.drop_table("usage_totals")
    op.drop_table("calls")
    op.drop_column("tasks", "estimate_nanos")


def _key(*names: str) -> list[sa.schema.SchemaItem]:
    numbers = {"iteration", "attempt", "number"}
    kinds = {name: sa.BigInteger() if name in numbers else sa.Text() for name in names}
    columns = [sa.Column(name, kind, autoincrement=False, nullable=False) for name, kind in kinds.items()]
    return [*columns, sa.PrimaryKeyConstraint(*names), sa.ForeignKeyConstraint(["run_id"], ["runs.id"])]


def _used() -> list[sa.schema.SchemaItem]:
    return [
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in NUMBERS),
        sa.Column("seconds", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
    ]
