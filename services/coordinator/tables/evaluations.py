"""Benchmarks, the evaluations that measure models on them, and each item's result."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.coordinator.tables.base import Table, image_name, of_run


class Benchmark(Table):
    """A data set of the purpose `benchmark`: what it is read as."""

    __tablename__ = "benchmarks"
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.name"), primary_key=True)
    kind: Mapped[str]  # scienceqa | seed-bench | llava-bench
    split: Mapped[str | None]
    notes: Mapped[list[Any]] = mapped_column(server_default="[]")  # what of the files was left out on purpose


class BenchmarkItem(Table):
    __tablename__ = "benchmark_items"
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.name"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # its place, from 1
    name: Mapped[str]  # the publisher's id
    image: Mapped[str] = image_name()
    content: Mapped[dict[str, Any]]
    __table_args__ = (Index("benchmark_items_by_image", "dataset", "image", "id"),)


class Evaluation(Table):
    """A run of the kind `evaluation`: whom it measures, and how."""

    __tablename__ = "evaluations"
    run_id: Mapped[str] = of_run()
    model: Mapped[dict[str, Any]]
    settings: Mapped[dict[str, Any]]
    judge: Mapped[dict[str, Any] | None]  # fixed when it began
    of_run: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))  # whose student it measures
    of_iteration: Mapped[int | None]
    automatic: Mapped[bool] = mapped_column(server_default="false")  # that run began it and waits for it
    scores: Mapped[dict[str, Any] | None] = mapped_column(
        JSON
    )  # in the table's order, which JSONB would lose
    __table_args__ = (Index("evaluations_of_run", "of_run", "of_iteration"),)


class EvaluationResult(Table):
    """What came of one item. What its kind does not have is null; an unreadable answer has no prediction."""

    __tablename__ = "evaluation_results"
    run_id: Mapped[str] = of_run()
    item_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    request_hash: Mapped[str | None] = mapped_column(ForeignKey("answers.request_hash"))
    prediction: Mapped[int | None]  # index of the choice
    correct: Mapped[bool | None]
    likelihoods: Mapped[list[Any] | None]  # of the choices, in their order
    review: Mapped[dict[str, Any] | None]  # the judge's
