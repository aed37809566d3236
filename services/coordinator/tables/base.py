"""What all tables have in common: types, and the columns that many of them have."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Text, func
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        int: BigInteger,
        float: DOUBLE_PRECISION,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


def now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def image_name(primary_key: bool = False) -> Mapped[str]:
    """A picture's sha256, or `text:...` shared by the instructions of a dialogue without a picture.

    In byte order, whatever the database's collation: the order of tasks, pages and training lines.
    """
    return mapped_column(Text(collation="C"), primary_key=primary_key)


def of_run() -> Mapped[str]:
    return mapped_column(ForeignKey("runs.id"), primary_key=True)
