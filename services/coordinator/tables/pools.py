"""What a run makes: instructions, answers, verdicts, selections, candidates."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from services.coordinator.tables.base import Table, image_name, now, of_run

BY_DIFFICULTY = ("run_id", "iteration", "difficulty", "instruction_id")


class Instruction(Table):
    __tablename__ = "instructions"
    run_id: Mapped[str] = of_run()
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image: Mapped[str] = image_name()
    text: Mapped[str]
    task_type: Mapped[str]
    origin: Mapped[str]  # seed | augmented
    parent: Mapped[int | None]
    born_in: Mapped[int]
    dialogue: Mapped[str | None]
    turn: Mapped[int | None]
    __table_args__ = (
        Index("instructions_by_image", "run_id", "image", "id"),
        Index("instructions_by_birth", "run_id", "born_in", "id"),
        Index("instructions_by_parent", "run_id", "parent", postgresql_where="parent IS NOT NULL"),
        Index("instructions_by_type", "run_id", "task_type", "id"),
        # the beginning alone: a longer text would have more words than the index can hold
        Index(
            "instructions_by_words",
            sql("to_tsvector('simple'::regconfig, left(text, 4000))"),
            postgresql_using="gin",
        ),
    )


class Answer(Table):
    """An answer by the hash of its whole request; shared by all runs."""

    __tablename__ = "answers"
    request_hash: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    model_revision: Mapped[str]
    prompt_version: Mapped[str]
    text: Mapped[str]
    finish_reason: Mapped[str]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    created_at: Mapped[datetime] = now()


class Binding(Table):
    """Which answer an instruction has: the teacher's (checkpoint empty), or a student checkpoint's."""

    __tablename__ = "bindings"
    run_id: Mapped[str] = of_run()
    instruction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(primary_key=True)
    checkpoint: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str] = mapped_column(ForeignKey("answers.request_hash"))


class Verdict(Table):
    __tablename__ = "verdicts"
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instruction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    unjudged: Mapped[bool]
    reason: Mapped[str | None]
    teacher_score: Mapped[float | None]
    student_score: Mapped[float | None]
    difficulty: Mapped[float | None]
    runs: Mapped[list[Any]]  # both orders as they came
    model: Mapped[str | None]
    revision: Mapped[str | None]
    prompt_version: Mapped[str | None]
    __table_args__ = (
        Index("verdicts_by_difficulty", *BY_DIFFICULTY),
        Index("verdicts_better", *BY_DIFFICULTY, postgresql_where="student_score > teacher_score"),
        Index("verdicts_unjudged", "run_id", "iteration", "instruction_id", postgresql_where="unjudged"),
    )


class Selection(Table):
    __tablename__ = "selections"
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instruction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]  # difficult | easy


class Candidate(Table):
    """Every attempt of the augmentor; an accepted one names the instruction that it became."""

    __tablename__ = "candidates"
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str]
    accepted: Mapped[bool]
    reason: Mapped[str | None]
    rouge_l: Mapped[float | None]
    nearest: Mapped[str | None]
    instruction_id: Mapped[int | None]
    revision: Mapped[str]
    prompt_version: Mapped[str]


class EvaluationAnswer(Table):
    __tablename__ = "evaluation_answers"
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    request_hash: Mapped[str] = mapped_column(ForeignKey("answers.request_hash"))
    correct: Mapped[bool]
