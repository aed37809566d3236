"""Looks that cost what is out, pages in constant time, and imports that go on after a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WITH_IMAGES = ("dataset_items", "instructions", "failures", "tasks", "calls")
GROWING = (
    "instructions",
    "answers",
    "bindings",
    "verdicts",
    "selections",
    "candidates",
    "evaluation_answers",
)
OPEN = "state IN ('todo', 'published', 'leased')"
# a page keeps room for the versions of its rows; what moved on is cleaned away while the phase goes on
TASKS = {"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_analyze_scale_factor": 0.1}
FIRST_READ = ("images", "file_state")
COUNTED = ("bytes_read", "bytes_total")


def upgrade() -> None:
    for table in WITH_IMAGES:
        op.execute(f'ALTER TABLE {table} ALTER COLUMN image TYPE text COLLATE "C"')
    _index_images("image", "id")
    op.create_index(
        "instructions_by_parent", "instructions", ["run_id", "parent"], postgresql_where="parent IS NOT NULL"
    )
    op.drop_index("tasks_open", "tasks")
    phase = ["run_id", "iteration", "phase"]
    op.create_index("tasks_todo", "tasks", [*phase, "image"], postgresql_where="state = 'todo'")
    op.create_index("tasks_out", "tasks", phase, postgresql_where="state IN ('published', 'leased')")
    refused = "state = 'todo' AND estimate_nanos > 0"
    op.create_index("tasks_refused", "tasks", ["run_id", "estimate_nanos"], postgresql_where=refused)
    op.execute(f"ALTER TABLE tasks SET ({', '.join(f'{name} = {value}' for name, value in TASKS.items())})")
    for table in GROWING:
        op.execute(f"ALTER TABLE {table} SET (autovacuum_analyze_scale_factor = 0.05)")
    _add_datasets_columns()


def _add_datasets_columns() -> None:
    for name in FIRST_READ:
        op.add_column("datasets", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("datasets", sa.Column("status", sa.Text(), server_default="ready", nullable=False))
    for name in COUNTED:
        op.add_column("datasets", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("dataset_items", sa.Column("asked", sa.Text(), nullable=True))
    op.create_index("dataset_items_asked_once", "dataset_items", ["dataset", "asked"], unique=True)


def _index_images(*columns: str) -> None:
    for table, owner in (("instructions", "run_id"), ("dataset_items", "dataset")):
        op.drop_index(f"{table}_by_image", table)
        op.create_index(f"{table}_by_image", table, [owner, *columns])


def downgrade() -> None:
    op.drop_index("dataset_items_asked_once", "dataset_items")
    op.drop_column("dataset_items", "asked")
    for name in (*FIRST_READ, "status", *COUNTED):
        op.drop_column("datasets", name)
    for table in GROWING:
        op.execute(f"ALTER TABLE {table} RESET (autovacuum_analyze_scale_factor)")
    op.execute(f"ALTER TABLE tasks RESET ({', '.join(TASKS)})")
    for name in ("tasks_refused", "tasks_out", "tasks_todo"):
        op.drop_index(name, "tasks")
    op.create_index("tasks_open", "tasks", ["run_id", "state"], postgresql_where=OPEN)
    op.drop_index("instructions_by_parent", "instructions")
    _index_images("image")
    for table in WITH_IMAGES:
        op.execute(f'ALTER TABLE {table} ALTER COLUMN image TYPE text COLLATE "default"')
