"""The answers' shapes, for `/openapi.json` and the Python client: the fields that clients can count on.

Answers may hold more. Light to import: a client needs no database driver.
"""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from services.coordinator.states import Phase, RunStatus
from shared.scopes import KeyScope
from shared.types import EngineKind, Role

Row = TypeVar("Row", bound="Shape")


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class ListOf(Shape, Generic[Row]):
    object: Literal["list"]
    data: list[Row]


class Page(ListOf[Row], Generic[Row]):
    """`next_cursor` is None on the last page."""

    next_cursor: str | int | None


class Key(Shape):
    name: str
    scope: KeyScope
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKey(Key):
    key: str


class KeyList(ListOf[Key]):
    pass


class ImportProgress(Shape):
    bytes_read: int
    bytes_total: int
    records: int
    rate: float | None  # records a second; None: the import was stopped
    time_left_s: float | None


class Refusal(Shape):
    record: str
    reason: str


class Dataset(Shape):
    id: str
    name: str
    purpose: Literal["instruct", "pretrain", "evaluation", "benchmark"]
    status: Literal["importing", "ready"]
    path: str
    images: str | None
    content_sha256: str
    num_records: int
    num_instructions: int
    num_images: int
    num_refused: int
    refused: list[Refusal]  # the first of them
    created_at: datetime
    progress: ImportProgress | None  # None: all of it is read


class DatasetList(ListOf[Dataset]):
    pass


class Engine(Shape):
    base_url: str
    model: str
    revision: str | None = None
    key_name: str | None = None
    kind: EngineKind = "openai"
    json_schema: bool | None = None


class Progress(Shape):
    """Of the present phase; all None where nothing goes on."""

    iteration: int | None = None
    phase: Phase | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    rate: float | None = None  # units a second
    time_left_s: float | None = None
    waiting: str | None = None  # what for
    loss: float | None = None


class RunLine(Shape):
    id: str
    name: str
    dataset: str
    config: dict[str, Any]
    engines: dict[Role, Engine]  # of roles whose engine is not their service's own
    status: RunStatus
    target: int  # trainings asked for
    iteration: int
    phase: Phase | None
    progress: Progress
    reason: str | None  # why it stands or ended as it did
    parent_run: str | None
    branched_from: int | None  # the parent's iteration
    created_at: datetime
    updated_at: datetime


class RunList(ListOf[RunLine]):
    pass


class RoleUsage(Shape):
    items: int
    calls: int
    prompt_tokens: int
    cached_tokens: int  # of the prompt tokens
    completion_tokens: int
    seconds: float  # with the engine, summed over calls that ran side by side
    cost: float


class UsageSums(Shape):
    currency: str
    spent: float
    by_role: dict[Role, RoleUsage]


class RunUsage(UsageSums):
    limit: float | None  # what the run may spend


class IterationUsage(UsageSums):
    number: int


class UsageByIteration(RunUsage):
    iterations: list[IterationUsage]  # those in which somebody was asked


class FailureCount(Shape):
    iteration: int
    phase: Phase
    failed: int


class Run(RunLine):
    usage: RunUsage
    failures: list[FailureCount]


class FailureReason(Shape):
    reason: str
    failed: int


class PhaseEnding(Shape):
    ended: str  # "done", "done with failures" or "asks"
    items: int
    failed: int
    reasons: list[FailureReason]  # the commonest
    asked_about: int  # failures that a person was asked about


class IterationStand(Shape):
    """What an iteration does not have (yet) is None; 0 is the start measurement."""

    number: int
    phase: Phase
    seconds: dict[str, float]  # by phase
    tuning_pool: int | None
    cache_pool: int | None
    difficult: int | None  # selected as such; as many easy ones are selected with them
    easy: int | None
    unjudged: int | None
    mean_difficulty: float | None  # from 0 to 1
    accepted: int | None
    dropped: int | None
    rejected: int | None
    train_loss: float | None
    heldout_accuracy: float | None  # from 0 to 1
    heldout_by_kind: dict[str, float] | None
    endings: dict[Phase, PhaseEnding]
    checkpoint: str | None


class Iteration(IterationStand):
    usage: UsageSums
    job_id: str | None  # at the trainer
    training: dict[str, Any] | None  # the job's last metrics
    judge: dict[str, Any] | None  # fixed for the whole assessment
    retries: int
    created_at: datetime
    phase_started_at: datetime


class IterationList(ListOf[Iteration]):
    pass


class RunEvent(Shape):
    """The `data` of a server-sent event `run`."""

    id: str
    name: str
    status: RunStatus
    target: int
    progress: Progress
    reason: str | None
    iterations: list[IterationStand]


class CurvePoint(Shape):
    step: int
    loss: float
    learning_rate: float | None


class Curve(ListOf[CurvePoint]):
    pass


class LogEntry(Shape):
    id: int
    at: datetime
    run_id: str | None  # None: it concerns the system
    action: str
    cause: str
    detail: dict[str, Any]


class Log(Page[LogEntry]):
    next_cursor: int | None


class FlipSide(Shape):
    teacher_score: float  # from 1 to 10, as the student's
    student_score: float
    difficulty: float  # from 0 to 1
    teacher_answer: str | None
    student_answer: str | None


class Flip(Shape):
    id: str
    kind: Literal["learnt", "forgotten"]
    text: str
    image: str | None  # sha256
    task_type: str
    origin: Literal["seed", "augmented"]
    born_in: int  # the iteration
    before: FlipSide
    after: FlipSide


class FlipPage(Page[Flip]):
    next_cursor: str | None


class Failure(Shape):
    iteration: int
    phase: Phase
    image: str | None  # sha256
    instruction_id: str | None  # None: the whole image
    text: str | None  # of the instruction or held-out question
    reason: str
    attempts: int


class FailurePage(Page[Failure]):
    counts: list[FailureCount]
    next_cursor: str | None


class FindingLine(Shape):
    what: str
    level: Literal["ok", "warning", "problem"]
    said: str
    todo: str | None


class Findings(ListOf[FindingLine]):
    version: str
