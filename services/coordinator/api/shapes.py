"""The answers' shapes, for `/openapi.json`: the fields that clients can count on; answers may hold more."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from services.coordinator.states import Phase, RunStatus
from shared.callers import KeyScope
from shared.images import FORMATS

PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {name: {} for name in FORMATS.values()}}}


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class Key(Shape):
    name: str
    scope: KeyScope
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKey(Key):
    key: str


class KeyList(Shape):
    object: Literal["list"]
    data: list[Key]


class Dataset(Shape):
    name: str
    purpose: Literal["instruct", "pretrain", "evaluation"]
    num_records: int
    num_instructions: int
    num_images: int
    num_refused: int


class DatasetList(Shape):
    object: Literal["list"]
    data: list[Dataset]


class RunLine(Shape):
    id: str
    name: str
    dataset: str
    config: dict[str, Any]
    engines: dict[str, Any]
    status: RunStatus
    target: int
    iteration: int
    phase: Phase | None
    progress: dict[str, Any]
    reason: str | None
    created_at: datetime
    updated_at: datetime


class RunList(Shape):
    object: Literal["list"]
    data: list[RunLine]


class UsageSums(Shape):
    currency: str
    spent: float
    by_role: dict[str, Any]


class Run(RunLine):
    usage: UsageSums


class Iteration(Shape):
    number: int
    phase: Phase
    usage: UsageSums


class IterationList(Shape):
    object: Literal["list"]
    data: list[Iteration]


class CurvePoint(Shape):
    step: int
    loss: float
    learning_rate: float | None


class Curve(Shape):
    object: Literal["list"]
    data: list[CurvePoint]


class LogEntry(Shape):
    id: int
    at: datetime
    run_id: str | None
    action: str
    cause: str
    detail: dict[str, Any]


class Log(Shape):
    object: Literal["list"]
    data: list[LogEntry]
    next_cursor: int | None


class FlipSide(Shape):
    teacher_score: float
    student_score: float
    difficulty: float
    teacher_answer: str | None
    student_answer: str | None


class Flip(Shape):
    id: str
    kind: Literal["learnt", "forgotten"]
    text: str
    image: str | None
    before: FlipSide
    after: FlipSide


class FlipPage(Shape):
    object: Literal["list"]
    data: list[Flip]
    next_cursor: str | None


class FailurePage(Shape):
    object: Literal["list"]
    counts: list[dict[str, Any]]
    data: list[dict[str, Any]]
    next_cursor: str | None


class PoolPage(Shape):
    object: Literal["list"]
    pool: Literal["tuning", "cache"]
    iteration: int
    data: list[dict[str, Any]]
    next_cursor: str | None


class Report(Shape):
    run: dict[str, Any]
    iterations: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    warnings: list[str]


class Instruction(Shape):
    id: str
    text: str
    ancestry: list[dict[str, Any]]
    children: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]


class FindingLine(Shape):
    what: str
    level: Literal["ok", "warning", "problem"]
    said: str
    todo: str | None


class Findings(Shape):
    object: Literal["list"]
    version: str
    data: list[FindingLine]
