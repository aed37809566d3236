"""What one benchmark consists of. In: nothing. Out: the types that reading gives and the rest takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.types import JsonObject

Kind = Literal["scienceqa", "seed-bench", "llava-bench"]

JUDGED: Kind = "llava-bench"  # its answers are free, and a judge scores them
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# the columns of the paper's tables in its order; the last one is over all items, whatever their groups
COLUMNS: dict[Kind, tuple[str, ...]] = {
    "scienceqa": ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", "AVG"),
    "seed-bench": (
        "Scene Understanding",
        "Instance Identity",
        "Instance Attributes",
        "Instance Location",
        "Instances Counting",
        "Spatial Relation",
        "Instance Interaction",
        "Visual Reasoning",
        "Text Understanding",
        "AVG",
    ),
    "llava-bench": ("conversation", "reasoning", "detail", "all"),
}


@dataclass(frozen=True)
class Item:
    """One question; `content` is stored as JSON.

    Always in it: `question`, `choices` (empty where the answer is free), `answer` (index of the right choice, or
    None) and `groups` (the table's columns it counts in, besides the column of all). Of ScienceQA: `hint`,
    `lecture`, `solution`. Of the LLaVA test set: `reference`, `context`, `category`.
    """

    name: str  # the id that the benchmark's authors gave it
    picture: Path | None
    content: JsonObject


@dataclass(frozen=True)
class Reading:
    """A benchmark as read; `notes` say what of the files was left out on purpose."""

    items: list[Item]
    notes: tuple[str, ...] = ()
