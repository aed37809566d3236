"""Draws a scene as a picture, with jitter in position, size and shade.

In: a scene and a random generator. Out: a 64x64 RGB picture.
"""

from random import Random

from PIL import Image, ImageDraw

from comd.world.scene import Scene, Thing

SIZE = 64
CELL = SIZE // 2
_SUPERSAMPLING = 4
_RGB = {"red": (215, 45, 45), "green": (45, 165, 65), "blue": (50, 80, 215), "yellow": (230, 200, 40)}
_SHADE_JITTER = 22
_MIN_SIDE, _MAX_SIDE = 15.0, 23.0
_MARGIN = 2.0
"""Pixels between a shape and the border of its cell, so that neighbours never touch."""


def draw_scene(scene: Scene, rng: Random) -> Image.Image:
    """The picture of `scene`; the same generator state gives the same pixels."""
    grey = rng.randint(225, 250)
    canvas = Image.new("RGB", (SIZE * _SUPERSAMPLING,) * 2, (grey, grey, grey))
    pen = ImageDraw.Draw(canvas)
    for cell, thing in enumerate(scene):
        if thing is not None:
            _draw_thing(pen, thing, cell, rng)
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing, cell: int, rng: Random) -> None:
    side = rng.uniform(_MIN_SIDE, _MAX_SIDE)
    slack = CELL - 2 * _MARGIN - side
    left = (cell % 2) * CELL + _MARGIN + rng.uniform(0, slack)
    top = (cell // 2) * CELL + _MARGIN + rng.uniform(0, slack)
    x0, y0, x1, y1 = (v * _SUPERSAMPLING for v in (left, top, left + side, top + side))
    fill = _shade(thing.colour, rng)
    if thing.shape == "circle":
        pen.ellipse((x0, y0, x1, y1), fill=fill)
    elif thing.shape == "square":
        pen.rectangle((x0, y0, x1, y1), fill=fill)
    else:
        pen.polygon([((x0 + x1) / 2, y0), (x1, y1), (x0, y1)], fill=fill)


def _shade(colour: str, rng: Random) -> tuple[int, int, int]:
    red, green, blue = (
        min(255, max(0, v + rng.randint(-_SHADE_JITTER, _SHADE_JITTER))) for v in _RGB[colour]
    )
    return red, green, blue
