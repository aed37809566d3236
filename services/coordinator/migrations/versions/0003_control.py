"""The append-only event log; how phases ended; what a run branched from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
    op.create_index("event_log_by_run", "event_log", ["run_id", "id"])
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_log
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    op.add_column("iterations", sa.Column("endings", postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column("iterations", sa.Column("retries", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("parent_run", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("branched_from", sa.BigInteger(), nullable=True))
    op.create_foreign_key("runs_parent_run_fkey", "runs", "runs", ["parent_run"], ["id"])


def downgrade() -> None:
    op.drop_column("runs", "branched_from")
    op.drop_column("runs", "parent_run")
    op.drop_column("iterations", "retries")
    op.drop_column("iterations", "endings")
    op.drop_table("event_log")
    op.execute("DROP FUNCTION refuse_change")
