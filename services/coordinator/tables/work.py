"""What is done, what failed, and what it used."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from services.coordinator.tables.base import Table, image_name, of_run


class Failure(Table):
    """What could not be done, and why. `instruction_id` is 0 where it concerns the whole image."""

    __tablename__ = "failures"
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(primary_key=True)
    image: Mapped[str] = image_name(primary_key=True)
    instruction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str]
    attempts: Mapped[int]


class Task(Table):
    """One image in one phase. The attempt number fences owners whose lease ran out."""

    __tablename__ = "tasks"
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(primary_key=True)
    image: Mapped[str] = image_name(primary_key=True)
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
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(primary_key=True)
    image: Mapped[str] = image_name(primary_key=True)
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
    run_id: Mapped[str] = of_run()
    iteration: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(primary_key=True)
    items: Mapped[int]
    calls: Mapped[int]
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    seconds: Mapped[float]
    cost_nanos: Mapped[int]
