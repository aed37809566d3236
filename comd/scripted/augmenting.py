"""The augmentor: writes a question of the parent's kind about something else in the picture.

In: the parent question as the prompt gives it, and the scene. Out: the new question.
"""

import re
from random import Random

from comd.scripted.answering import CANNOT_TELL
from comd.world.grammar import new_question
from comd.world.scene import Scene

_PARENT = re.compile(r"^Question: *(.+?)\s*\Z", re.MULTILINE | re.DOTALL)


def augment(text: str, scene: Scene | None, rng: Random) -> str:
    """A new question; an honest refusal where the parent or the picture is not of the world."""
    found = _PARENT.search(text)
    question = new_question(scene, found[1], rng) if found and scene else None
    return question or CANNOT_TELL
