"""The augmentor: writes a question of the parent's kind about something else in the picture.

In: the parent question as the prompt gives it, and the scene. Out: the new question, as JSON or bare.
"""

import json
import re
from random import Random

from comd.scripted.answering import CANNOT_TELL
from comd.world.grammar import new_question
from comd.world.scene import Scene

_PARENT = re.compile(r"^Question: *(.+?)\s*\Z", re.MULTILINE | re.DOTALL)


def parent_of(text: str) -> str | None:
    """The parent question in the prompt."""
    found = _PARENT.search(text)
    return found[1] if found else None


def augment(text: str, scene: Scene | None, rng: Random, *, wants_json: bool) -> str:
    """A new question; an honest refusal where the parent or the picture is not of the world."""
    parent = parent_of(text)
    question = (new_question(scene, parent, rng) if parent and scene else None) or CANNOT_TELL
    return json.dumps({"question": question}) if wants_json else question
