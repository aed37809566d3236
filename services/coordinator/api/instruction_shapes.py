"""The answers' shapes about questions: pools, an instruction's life, a run's report, held-out ones. As `shapes`."""

from typing import Any, Literal

from services.coordinator.api.shapes import FailureCount, IterationStand, Page, RunUsage, Shape, UsageSums
from services.coordinator.states import RunStatus
from shared.types import Order, Role


class PoolItem(Shape):
    id: str
    image: str | None  # sha256
    text: str
    task_type: str
    origin: Literal["seed", "augmented"]
    parent: str | None
    born_in: int  # the iteration
    dialogue: str | None
    turn: int | None


class PoolPage(Page[PoolItem]):
    pool: Literal["tuning", "cache"]
    iteration: int
    next_cursor: str | None


class Answer(Shape):
    role: Role
    iteration: int | None  # of the student's checkpoint
    checkpoint: str | None
    text: str
    finish_reason: str | None
    model_revision: str
    prompt_version: str


class JudgedOrder(Shape):
    """What the judge said of both answers in one order; None where it gave no readable reply."""

    order: Order
    teacher_score: float | None  # from 1 to 10, as the student's
    student_score: float | None
    evidence: str | None
    raw: str | None
    attempts: int


class Verdict(Shape):
    """None in scores and difficulty: `unjudged`, for the `reason`."""

    iteration: int
    unjudged: bool
    reason: str | None
    teacher_score: float | None  # from 1 to 10, the mean of both orders
    student_score: float | None
    difficulty: float | None  # from 0 to 1
    runs: list[JudgedOrder]
    model: str | None
    revision: str | None
    prompt_version: str | None


class Instruction(PoolItem):
    ancestry: list[PoolItem]  # from its parent up to the seed
    children: list[PoolItem]
    answers: list[Answer]
    verdicts: list[Verdict]


class JudgedInstruction(Shape):
    """An instruction as it stood in one iteration; scores and difficulty are None where it is not judged."""

    id: str
    image: str | None  # sha256
    text: str
    task_type: str
    origin: Literal["seed", "augmented"]
    parent: str | None
    born_in: int  # the iteration
    teacher_answer: str | None
    student_answer: str | None
    teacher_score: float | None  # from 1 to 10, the mean of both orders
    student_score: float | None
    difficulty: float | None  # from 0 to 1
    unjudged: bool | None  # None: nobody was asked yet
    reason: str | None  # why it is unjudged


class JudgedPage(Page[JudgedInstruction]):
    iteration: int
    next_cursor: str | None


class ReportedRun(Shape):
    id: str
    name: str
    dataset: str
    status: RunStatus
    target: int
    config: dict[str, Any]
    reason: str | None
    parent_run: str | None
    branched_from: int | None


class ReportedIteration(IterationStand):
    usage: UsageSums
    score_histogram: dict[Role, list[int]] | None  # ten bins each: 1, 2 ... 10
    difficulty_histogram: list[int] | None  # ten bins: 0.0-0.1 ... 0.9-1.0


class Example(Shape):
    """A difficult instruction that had a child."""

    id: str
    image: str | None  # sha256
    instruction: str
    kind: str
    iteration: int
    teacher_answer: str
    student_before: str | None
    student_after: str | None
    after_iteration: int | None
    teacher_score: float
    student_score: float
    difficulty: float
    runs: list[JudgedOrder]
    improvement: float  # of the student's score since then
    new_question: str
    new_id: str


class Report(Shape):
    run: ReportedRun
    start_accuracy: float | None
    final_accuracy: float | None
    tau: float
    usage: RunUsage
    iterations: list[ReportedIteration]
    examples: list[Example]
    failures: list[FailureCount]
    warnings: list[str]


class HeldoutItem(Shape):
    id: str
    dialogue: str  # with `turn` the item's name in its data set
    turn: int
    task_type: str
    image: str | None  # sha256
    text: str
    reference: str | None
    answer: str | None  # None: not asked (yet), or it failed
    correct: bool | None


class HeldoutPage(Page[HeldoutItem]):
    next_cursor: str | None
