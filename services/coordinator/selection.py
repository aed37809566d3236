"""Which judged instructions become parents (algorithm, step 5; paper section 3.3). Pure.

In: difficulty by instruction id. Out: ids. Production does the same in SQL (repositories/selections.py), and a
test holds the two equal.
"""

import hashlib
from collections.abc import Iterable, Mapping

from services.coordinator.run_config import SelectionMode


def draw(seed: int, instruction_id: int) -> str:
    """The keyed hash by which an instruction is drawn: the lowest win."""
    return hashlib.sha256(f"{seed}|{instruction_id}".encode()).hexdigest()


def lowest(ids: Iterable[int], seed: int, number: int) -> list[int]:
    """The `number` ids with the lowest keyed hash, in that order; all of them where there are fewer."""
    return sorted(ids, key=lambda instruction_id: draw(seed, instruction_id))[:number]


def select(difficulty_by_id: Mapping[int, float], tau: float, seed: int) -> tuple[list[int], list[int]]:
    """All difficult ids (difficulty >= tau) in id order, and as many easy ones with the lowest keyed hash."""
    difficult = sorted(one for one, value in difficulty_by_id.items() if value >= tau)
    easy = (one for one, value in difficulty_by_id.items() if value < tau)
    return difficult, lowest(easy, seed, len(difficult))


def select_at_most(
    number: int, difficulty_by_id: Mapping[int, float], tau: float, seed: int
) -> tuple[list[int], list[int]]:
    """Half of the number easy, never more of them than difficult ones, and difficult ones for the rest of it."""
    difficult, easy = select(difficulty_by_id, tau, seed)
    num_easy = min(len(easy), number // 2)
    return lowest(difficult, seed, number - num_easy), easy[:num_easy]


def choose(
    mode: SelectionMode, number: int | None, difficulty_by_id: Mapping[int, float], tau: float, seed: int
) -> set[int]:
    """The selection of any mode; without a number, the others take as many as `balanced` would."""
    difficult, easy = select(difficulty_by_id, tau, seed)
    if mode == "balanced":
        both = (difficult, easy) if number is None else select_at_most(number, difficulty_by_id, tau, seed)
        return {one for part in both for one in part}
    limit = number or len(difficult) + len(easy)
    among = {
        "difficult_only": difficult,
        "easy_only": [one for one, value in difficulty_by_id.items() if value < tau],
        "random": list(difficulty_by_id),
    }[mode]
    return set(lowest(among, seed, limit))
