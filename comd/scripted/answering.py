"""The roles that answer a question: the teacher, almost always right, and a student whose skill has a level.

In: a question, the scene and the noise. Out: a sentence.
"""

from random import Random

from comd.world.grammar import answer, parse, wrong_answer
from comd.world.scene import Scene

CANNOT_TELL = "I cannot tell."
TOP_LEVEL = 9
_FIRST_SKILL = {"colour": 0.8, "shape": 0.3, "position": 0.25, "count": 0.3, "description": 0.1}
_LAST_SKILL = 0.95


def teach(question: str, scene: Scene | None, error_rate: float, rng: Random) -> str:
    """The true answer, or at `error_rate` a wrong one; an honest refusal to what cannot be answered."""
    query = parse(question)
    truth = answer(query, scene) if query and scene else None
    if query is None or scene is None or truth is None:
        return CANNOT_TELL
    return wrong_answer(query, scene, rng) if rng.random() < error_rate else truth


def skill(kind: str, level: int) -> float:
    """How often a student of this level answers a question of this kind rightly."""
    return _FIRST_SKILL[kind] + (_LAST_SKILL - _FIRST_SKILL[kind]) * level / TOP_LEVEL


def study(question: str, scene: Scene | None, level: int, rng: Random) -> str:
    """As `teach`, with the skill of a student of `level`."""
    query = parse(question)
    return teach(question, scene, 1 - skill(query.kind, level) if query else 0, rng)
