"""Gives a request to the role that it asks for.

In: an Asking and the engine's behaviour. Out: the text of the reply, a pure function of both.
"""

from dataclasses import dataclass

from comd.scripted.answering import study, teach
from comd.scripted.asking import Asking
from comd.scripted.augmenting import augment
from comd.scripted.judging import judge


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How imperfect the engine is."""

    error_rate: float = 0.03
    """Share of the teacher's answers that are wrong."""
    unreadable_rate: float = 0.005
    """Share of the judge's replies that are not in the form asked for."""


def reply(asking: Asking, behaviour: Behaviour) -> str:
    """What the engine says, before any limit on its length."""
    rng = asking.rng()
    if asking.role == "judge":
        return judge(asking.text, asking.scene, behaviour.unreadable_rate, rng, wants_json=asking.wants_json)
    if asking.role == "augmentor":
        return augment(asking.text, asking.scene, rng, wants_json=asking.wants_json)
    if asking.role == "student":
        level = asking.model.partition("@")[2]
        return study(asking.text, asking.scene, int(level or 0), rng)
    return teach(asking.text, asking.scene, behaviour.error_rate, rng)
