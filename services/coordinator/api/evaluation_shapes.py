"""The shapes of benchmarks and evaluations, for `/openapi.json` and the Python client."""

from datetime import datetime
from typing import Any, Literal

from services.coordinator.api.shapes import ListOf, Page, Progress, Shape
from services.coordinator.benchmarks.items import Kind
from services.coordinator.evaluation_settings import EvaluationSettings
from services.coordinator.states import RunStatus
from shared.types import EngineSpec

MOST_BESIDE = 100  # evaluations in one table, beside the first

Outcome = Literal["right", "wrong", "unreadable", "judged", "failed", "open"]


class Benchmark(Shape):
    name: str
    kind: Kind
    split: str | None
    notes: list[str]  # what of the files was left out on purpose
    path: str
    content_sha256: str
    num_items: int
    num_images: int
    created_at: datetime


class BenchmarkList(ListOf[Benchmark]):
    pass


class TestedModelShape(Shape):
    """Exactly one of engine, role and checkpoint is there."""

    label: str
    engine: EngineSpec | None
    role: str | None
    checkpoint: str | None
    revision: str


class ScoreCell(Shape):
    """Per cent, with the bounds of a 95 % bootstrap interval, over `num` questions; None where nobody knows."""

    value: float | None
    low: float | None
    high: float | None
    num: int | None


class EvaluationSummary(Shape):
    id: str
    name: str
    benchmark: str
    kind: Kind
    split: str | None
    model: TestedModelShape
    settings: EvaluationSettings
    judge: dict[str, Any] | None
    run: str | None  # whose student it measures
    iteration: int | None
    automatic: bool  # that run began it
    status: RunStatus
    reason: str | None
    progress: Progress
    items: int
    scores: dict[str, ScoreCell] | None  # by column; None until it is finished
    created_at: datetime
    updated_at: datetime


class Evaluation(EvaluationSummary):
    """The same, with how many questions came to which outcome."""

    outcomes: dict[Outcome, int]


class EvaluationList(ListOf[EvaluationSummary]):
    pass


class EvaluationItem(Shape):
    id: int
    name: str
    image: str | None
    question: str
    hint: str | None
    choices: list[str]
    answer: int | None
    groups: list[str]
    outcome: Outcome
    prediction: int | None
    correct: bool | None
    answer_text: str | None
    likelihoods: list[float] | None
    review: dict[str, Any] | None
    reference: str | None
    failure: str | None


class EvaluationItems(Page[EvaluationItem]):
    next_cursor: int | None


class ScoreTableRow(Shape):
    label: str
    source: Literal["measured", "paper"]
    cells: list[ScoreCell | None]
    note: str


class ScoreTable(Shape):
    title: str
    unit: str
    columns: list[str]
    rows: list[ScoreTableRow]


class Difference(Shape):
    """One evaluation minus another, over the questions that both have."""

    columns: dict[str, ScoreCell]
