"""Runs, their iterations and trainings, and what was asked of them, happened to them and was told of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.coordinator.tables.base import Table, now, of_run


class Leadership(Table):
    """One row: the epoch of the newest driver. Every driver write checks it."""

    __tablename__ = "leadership"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]


class Run(Table):
    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default="training")  # training | evaluation
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
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()


class Request(Table):
    """An Idempotency-Key that was honoured."""

    __tablename__ = "requests"
    run_id: Mapped[str] = of_run()
    key: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]


class Iteration(Table):
    """What an iteration does not have (yet) is null."""

    __tablename__ = "iterations"
    run_id: Mapped[str] = of_run()
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    phase: Mapped[str]
    phase_started_at: Mapped[datetime] = now()
    created_at: Mapped[datetime] = now()
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
    run_id: Mapped[str] = of_run()
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


class Shipment(Table):
    """What a tracker of a run was sent at once, or is to be sent."""

    __tablename__ = "shipments"
    run_id: Mapped[str] = of_run()
    tracker: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]]  # records, and the run's status
    created_at: Mapped[datetime] = now()
    sent_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")  # that failed
    error: Mapped[str | None]  # of the last one
