"""What a picture of the world shows: up to four coloured shapes on a 2x2 grid.

In: a random generator. Out: scenes, and whether a scene's layout is kept for the held-out set.
"""

from dataclasses import dataclass
from hashlib import sha256
from random import Random

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("circle", "square", "triangle")
PLACES = ("top-left", "top-right", "bottom-left", "bottom-right")
"""In the order in which a scene lists its cells: row by row."""

HELDOUT_SHARE = 0.15
_NUM_THINGS_WEIGHTS = (0.1, 0.35, 0.35, 0.2)
"""How often a picture shows one, two, three or four things."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One coloured shape."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


Scene = tuple[Thing | None, ...]
"""Four cells in the order of PLACES; an empty cell is None."""


def layout_key(scene: Scene) -> str:
    """The layout in words: equal for two pictures that differ only in position, size and shade."""
    return "|".join(str(thing) if thing else "-" for thing in scene)


def is_heldout(scene: Scene) -> bool:
    """Whether this layout belongs to the held-out pictures; it then never occurs in training."""
    digest = sha256(layout_key(scene).encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELDOUT_SHARE * 2**32


def random_scene(rng: Random) -> Scene:
    """A scene of one to four things, layouts of both sets mixed."""
    num_things = rng.choices((1, 2, 3, 4), weights=_NUM_THINGS_WEIGHTS)[0]
    filled = set(rng.sample(range(len(PLACES)), num_things))
    return tuple(
        Thing(rng.choice(COLOURS), rng.choice(SHAPES)) if cell in filled else None
        for cell in range(len(PLACES))
    )


def random_scene_of(rng: Random, *, heldout: bool) -> Scene:
    """A random scene whose layout belongs to the held-out set, or to the training set."""
    while True:
        scene = random_scene(rng)
        if is_heldout(scene) is heldout:
            return scene
