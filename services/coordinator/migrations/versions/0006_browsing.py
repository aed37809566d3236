"""Indexes by which people look through the instructions of a large run."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BY_DIFFICULTY = ["run_id", "iteration", "difficulty", "instruction_id"]


def upgrade() -> None:
    op.create_index("verdicts_by_difficulty", "verdicts", BY_DIFFICULTY)
    op.create_index(
        "verdicts_better", "verdicts", BY_DIFFICULTY, postgresql_where="student_score > teacher_score"
    )
    op.create_index(
        "verdicts_unjudged",
        "verdicts",
        ["run_id", "iteration", "instruction_id"],
        postgresql_where="unjudged",
    )
    op.create_index("instructions_by_type", "instructions", ["run_id", "task_type", "id"])
    words = sa.text("to_tsvector('simple'::regconfig, left(text, 4000))")
    op.create_index("instructions_by_words", "instructions", [words], postgresql_using="gin")


def downgrade() -> None:
    for name in ("instructions_by_words", "instructions_by_type"):
        op.drop_index(name, "instructions")
    for name in ("verdicts_unjudged", "verdicts_better", "verdicts_by_difficulty"):
        op.drop_index(name, "verdicts")
