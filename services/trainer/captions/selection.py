"""Which captions align the projector: phrases by caption id in, the ids of a balanced selection out.

Balanced by noun phrases (CoMD, arXiv 2311.08213, the first stage): what is said rarely is kept, what is said often is
cut down to `cap` captions. Here in memory; `choosing` and `on_ray` do the same for what does not fit.
"""

import hashlib
import heapq
from collections.abc import Iterable, Sequence


def select_captions(
    phrases_by_id: Iterable[tuple[str, Sequence[str]]],
    *,
    min_frequency: int = 3,
    cap: int = 100,
    seed: int = 0,
) -> set[str]:
    """The union, over all phrases of at least `min_frequency` captions, of `cap` captions that contain the phrase.

    The paper goes from the rarest phrase up and draws at random; a union does not know the order, and lowest hashes
    are as good as a draw and the same in any order of the input. Phrases of an id that comes twice count together.
    """
    ids_of: dict[str, set[str]] = {}
    for id, phrases in phrases_by_id:
        for phrase in phrases:
            ids_of.setdefault(phrase, set()).add(id)
    selected: set[str] = set()
    for phrase, ids in ids_of.items():
        if len(ids) >= min_frequency:
            selected.update(_lowest(phrase, ids, cap, seed))
    return selected


def rank(seed: int, phrase: str, id: str) -> str:
    """A caption's place in the draw of one phrase: 64 hexadecimal digits, lowest first."""
    return hashlib.sha256(f"{seed}|{phrase}|{id}".encode()).hexdigest()


def _lowest(phrase: str, ids: set[str], cap: int, seed: int) -> Iterable[str]:
    if len(ids) <= cap:
        return ids
    return heapq.nsmallest(cap, ids, key=lambda id: rank(seed, phrase, id))
