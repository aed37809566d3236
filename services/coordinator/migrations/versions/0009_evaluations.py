"""Benchmarks, and the runs of another kind that measure models on them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("kind", sa.Text(), server_default="training", nullable=False))
    _create_benchmarks()
    _create_evaluations()


def _create_benchmarks() -> None:
    op.create_table(
        "benchmarks",
        sa.Column("dataset", sa.Text(), sa.ForeignKey("datasets.name"), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("split", sa.Text()),
        sa.Column("notes", JSONB(), server_default="[]", nullable=False),
    )
    op.create_table(
        "benchmark_items",
        sa.Column("dataset", sa.Text(), sa.ForeignKey("datasets.name"), primary_key=True),
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(collation="C"), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
    )
    op.create_index("benchmark_items_by_image", "benchmark_items", ["dataset", "image", "id"])


def _create_evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("run_id", sa.Text(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("model", JSONB(), nullable=False),
        sa.Column("settings", JSONB(), nullable=False),
        sa.Column("judge", JSONB()),
        sa.Column("of_run", sa.Text(), sa.ForeignKey("runs.id")),
        sa.Column("of_iteration", sa.BigInteger()),
        sa.Column("automatic", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("scores", sa.JSON()),
    )
    op.create_index("evaluations_of_run", "evaluations", ["of_run", "of_iteration"])
    op.create_table(
        "evaluation_results",
        sa.Column("run_id", sa.Text(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("item_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("request_hash", sa.Text(), sa.ForeignKey("answers.request_hash")),
        sa.Column("prediction", sa.BigInteger()),
        sa.Column("correct", sa.Boolean()),
        sa.Column("likelihoods", JSONB()),
        sa.Column("review", JSONB()),
    )


def downgrade() -> None:
    for table in ("evaluation_results", "evaluations", "benchmark_items", "benchmarks"):
        op.drop_table(table)
    op.drop_column("runs", "kind")
