"""The tables, all known to `Table.metadata`. Each has the natural unique key that makes a second write a no-op."""

from services.coordinator.tables import data, evaluations, keys, pools, runs, work
from services.coordinator.tables.base import Table

__all__ = ["Table", "data", "evaluations", "keys", "pools", "runs", "work"]
