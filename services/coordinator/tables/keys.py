"""The bearer keys that were made."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from services.coordinator.tables.base import Table, now


class ApiKey(Table):
    """A bearer key, by its hash. A revoked one stays, so that its name means one key for ever."""

    __tablename__ = "api_keys"
    name: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str]  # read | run | admin
    sha256: Mapped[str]
    created_at: Mapped[datetime] = now()
    last_used_at: Mapped[datetime | None]  # to the minute
    revoked_at: Mapped[datetime | None]
