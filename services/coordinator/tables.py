"""The tables. Each has the natural unique key that makes a second write of the same result a no-op.

`image` is a picture's sha256, or `text:...` shared by the instructions of a dialogue without a picture.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Text, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BY_DIFFICULTY = ("run_id", "iteration", "difficulty", "instruction_id")


class Table(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        int: BigInteger,
        float: DOUBLE_PRECISION,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def _image(primary_key: bool = False) -> Mapped[str]:
    """In byte order, whatever the database's collation: the order of tasks, pages and training lines."""
    return mapped_column(Text(collation="C"), primary_key=primary_key)


def _run() -> Mapped[str]:
    return mapped_column(ForeignKey("runs.id"), primary_key=True)


class Dataset(Table):
    __tablename__ = "datasets"
    name: Mapped[str] = mapped_column(primary_key=True)
    purpose: Mapped[str]  # instruct | pretrain | evaluation
    path: Mapped[str]
    images: Mapped[str] = mapped_column(server_default="")  # the folder
    status: Mapped[str] = mapped_column(server_default="ready")  # importing | ready
    file_state: Mapped[str] = mapped_column(server_default="")  # size and time, while it is read
    bytes_read: Mapped[int] = mapped_column(server_default="0")
    bytes_total: Mapped[int] = mapped_column(server_default="0")
    content_sha256: Mapped[str]  # the sum of the rows' hashes
    num_records: Mapped[int]  # read so far: an import that was stopped goes on behind them
    num_instructions: Mapped[int]
    num_images: Mapped[int]
    num_refused: Mapped[int]
    refused: Mapped[list[Any]]  # the first refusals, with their reasons
    created_at: Mapped[datetime] = _now()


class DatasetItem(Table):
    """One human turn; its reference answer is kept for pre-training and evaluation only."""

    __tablename__ = "dataset_items"
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.name"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image: Mapped[str] = _image()
    text: Mapped[str]
    task_type: Mapped[str]
    dialogue: Mapped[str]
    turn: Mapped[int]
    reference: Mapped[str | None]
    asked: Mapped[str | None]  # the hash of picture and question
    __table_args__ = (
        Index("dataset_items_by_image", "dataset", "image", "id"),
        Index("dataset_items_asked_once", "dataset", "asked", unique=True),
    )


class Leadership(Table):
    """One row: the epoch of the newest driver. Every driver write checks it."""

    __tablename__ = "leadership"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]


class Run(Table):
    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.name"))
    config: Mapped[dict[str, Any]]
    engines: Mapped[dict[str, Any]]  # role -> EngineSpec, as swapped last
    status: Mapped[str]
    target: Mapped[int]  # trainings asked for
    holds_lease: Mapped[bool] = mapped_column(server_default="false")
    progress: Mapped[dict[str, Any]]
    reason: Mapped[str | None]  # why it ended as it did
    parent_run: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    branched_from: Mapped[int | None]  # the parent's iteration
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Request(Table):
    """An Idempotency-Key that was honoured."""

    __tablename__ = "requests"
    run_id: Mapped[str] = _run()
    key: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]


class Iteration(Table):
    """What an iteration does not have (yet) is null."""

    __tablename__ = "iterations"
    run_id: Mapped[str] = _run()
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str]
    phase_started_at: Mapped[datetime] = _now()
    created_at: Mapped[datetime] = _now()
    seconds: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    tuning_pool: Mapped[int | None]
    cache_pool: Mapped[int | None]
    job_id: Mapped[str | None]
    checkpoint: Mapped[str | None]
    train_loss: Mapped[float | None]
    training: Mapped[dict[str, Any] | None]  # the job's last metrics
    judge: Mapped[dict[str, Any] | None]  # fixed for the whole assessment
    difficult: Mapped[int | None]
    easy: Mapped[int | None]
    unjudged: Mapped[int | None]
    mean_difficulty: Mapped[float | None]
    accepted: Mapped[int | None]
    dropped: Mapped[int | None]  # selected parents of which nothing was accepted
    rejected: Mapped[int | None]  # attempts turned away as invalid or not novel
    heldout_accuracy: Mapped[float | None]
    heldout_by_kind: Mapped[dict[str, Any] | None]
    endings: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # by phase, see `failures.ending`
    retries: Mapped[int] = mapped_column(
        server_default="0"
    )  # how often a present phase's failures were forgotten


class TrainingPoint(Table):
    """What the trainer said of one optimizer step; iteration 0 is stage 1."""

    __tablename__ = "training_points"
    run_id: Mapped[str] = _run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    loss: Mapped[float]
    learning_rate: Mapped[float | None]


class EventLog(Table):
    """Every change of state, with time and cause. A trigger refuses to change or delete what is written."""

    __tablename__ = "event_log"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    action: Mapped[str]
    cause: Mapped[str]
    detail: Mapped[dict[str, Any]]
    __table_args__ = (Index("event_log_by_run", "run_id", "id"),)


class Instruction(Table):
    __tablename__ = "instructions"
    run_id: Mapped[str] = _run()
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image: Mapped[str] = _image()
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
    created_at: Mapped[datetime] = _now()


class Binding(Table):
    """Which answer an instruction has: the teacher's (checkpoint empty), or a student checkpoint's."""

    __tablename__ = "bindings"
    run_id: Mapped[str] = _run()
    instruction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(primary_key=True)
    checkpoint: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str] = mapped_column(ForeignKey("answers.request_hash"))


class Verdict(Table):
    __tablename__ = "verdicts"
    run_id: Mapped[str] = _run()
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
    run_id: Mapped[str] = _run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instruction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]  # difficult | easy


class Candidate(Table):
    """Every attempt of the augmentor; an accepted one names the instruction that it became."""

    __tablename__ = "candidates"
    run_id: Mapped[str] = _run()
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
    run_id: Mapped[str] = _run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    request_hash: Mapped[str] = mapped_column(ForeignKey("answers.request_hash"))
    correct: Mapped[bool]


class Failure(Table):
    """What could not be done, and why. `instruction_id` is 0 where it concerns the whole image."""

    __tablename__ = "failures"
    run_id: Mapped[str] = _run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(primary_key=True)
    image: Mapped[str] = _image(primary_key=True)
    instruction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str]
    attempts: Mapped[int]


class Task(Table):
    """One image in one phase. The attempt number fences owners whose lease ran out."""

    __tablename__ = "tasks"
    run_id: Mapped[str] = _run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(primary_key=True)
    image: Mapped[str] = _image(primary_key=True)
    state: Mapped[str] = mapped_column(server_default="todo")
    attempt: Mapped[int] = mapped_column(server_default="0")
    errors: Mapped[int] = mapped_column(server_default="0")  # unexpected ends; deaths of workers do not count
    owner: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    note: Mapped[str | None]  # what it waits for
    estimate_nanos: Mapped[int] = mapped_column(
        server_default="0"
    )  # of a budgeted run; reserved while leased
    # The driver looks at what is out and takes the next images, and never reads all that wait or are done. What a
    # sign of life changes is in no index, and room is left on the pages: such an update writes no index at all.
    __table_args__ = (
        Index("tasks_todo", "run_id", "iteration", "phase", "image", postgresql_where="state = 'todo'"),
        Index(
            "tasks_out", "run_id", "iteration", "phase", postgresql_where="state IN ('published', 'leased')"
        ),
        Index(
            "tasks_refused",
            "run_id",
            "estimate_nanos",
            postgresql_where="state = 'todo' AND estimate_nanos > 0",
        ),
    )


class Call(Table):
    """What one request to a role used and cost: one answer, one assessment or one augmentation.

    Known by the claim of its task and its number within, so every call that was made has a row of its own.
    """

    __tablename__ = "calls"
    run_id: Mapped[str] = _run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(primary_key=True)
    image: Mapped[str] = _image(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[str]
    model_revision: Mapped[str]
    items: Mapped[int]  # instructions (parents, questions) asked for; 0 where the same one is asked again
    calls: Mapped[int]  # to the engine
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    seconds: Mapped[float]
    cost_nanos: Mapped[int]  # billionths of the run's currency, at the price of the time


class UsageTotal(Table):
    """The sums of `calls`, written with them: a run's millions of calls are never added up while it is watched."""

    __tablename__ = "usage_totals"
    run_id: Mapped[str] = _run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(primary_key=True)
    items: Mapped[int]
    calls: Mapped[int]
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    seconds: Mapped[float]
    cost_nanos: Mapped[int]


class Shipment(Table):
    """What a tracker of a run was sent at once, or is to be sent."""

    __tablename__ = "shipments"
    run_id: Mapped[str] = _run()
    tracker: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]]  # records, and the run's status
    created_at: Mapped[datetime] = _now()
    sent_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")  # that failed
    error: Mapped[str | None]  # of the last one


class ApiKey(Table):
    """A bearer key, by its hash. A revoked one stays, so that its name means one key for ever."""

    __tablename__ = "api_keys"
    name: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str]  # read | run | admin
    sha256: Mapped[str]
    created_at: Mapped[datetime] = _now()
    last_used_at: Mapped[datetime | None]  # to the minute
    revoked_at: Mapped[datetime | None]
