"""Data sets and their items."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.coordinator.tables.base import Table, image_name, now


class Dataset(Table):
    __tablename__ = "datasets"
    name: Mapped[str] = mapped_column(primary_key=True)
    purpose: Mapped[str]  # instruct | pretrain | evaluation | benchmark
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
    created_at: Mapped[datetime] = now()


class DatasetItem(Table):
    """One human turn; its reference answer is kept for pre-training and evaluation only."""

    __tablename__ = "dataset_items"
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.name"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image: Mapped[str] = image_name()
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
