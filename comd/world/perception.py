"""Reads a picture back from its pixels: which colour and shape stands in which cell.

In: the bytes of an image file of any size or format. Out: a scene, or None where nothing can be made out.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from comd.world.scene import COLOURS, Scene, Thing

_MIN_CHROMA = 60.0
"""Largest minus smallest channel: the background and JPEG's bleeding edges lie below, shapes above."""
_MIN_COVER = 0.04
"""Share of a cell's pixels below which the cell is empty."""
_SQUARE_FILL = 0.9
"""Share of its bounding box that a shape fills: circle pi/4, square 1."""
_TRIANGLE_SLANT = 1.6
"""Lower half over upper half, in pixels: triangle 3, circle and square 1."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

Pixels = NDArray[np.float32]


def perceive(image: bytes) -> Scene | None:
    """The scene that the picture shows; None where it is no picture or shows nothing of this world."""
    try:
        with Image.open(BytesIO(image)) as picture:
            pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)  # (H, W, 3)
    except (UnidentifiedImageError, OSError, ValueError):
        return None
    return perceive_pixels(pixels)


def perceive_pixels(pixels: Pixels) -> Scene | None:
    """As `perceive`, from an (H, W, 3) array of values 0 to 255."""
    half_h, half_w = pixels.shape[0] // 2, pixels.shape[1] // 2
    if half_h < 8 or half_w < 8:
        return None
    cells = [pixels[y : y + half_h, x : x + half_w] for y in (0, half_h) for x in (0, half_w)]
    scene = tuple(_thing(cell) for cell in cells)
    return scene if any(scene) else None


def _thing(cell: Pixels) -> Thing | None:
    chroma = cell.max(axis=2) - cell.min(axis=2)  # (h, w)
    if float((chroma > _MIN_CHROMA).mean()) < _MIN_COVER:
        return None
    is_ground = chroma < 0.2 * _MIN_CHROMA
    if float(is_ground.mean()) < _MIN_COVER:
        return None  # no shape of this world leaves its cell without background
    core = chroma > 0.85 * float(np.percentile(chroma, 97))
    ground = np.median(cell[is_ground], axis=0)
    colour = cell[core].mean(axis=0)
    # How much of each pixel the shape covers: 0 on the background, 1 on the shape.
    # Brightness, which JPEG keeps sharp, counts twice.
    direction = (colour - ground) + 2 * float((colour - ground) @ _LUMA) * _LUMA
    cover = (cell - ground) @ (direction / float((colour - ground) @ direction))  # (h, w)
    return Thing(_colour(colour), _shape(np.where(cover > 0.15, np.minimum(cover, 1.0), 0.0)))


def _colour(rgb: NDArray[np.float32]) -> str:
    red, green, blue = (float(v) for v in rgb)
    if blue >= max(red, green):
        return COLOURS[2]
    if min(red, green) > 0.62 * max(red, green):
        return COLOURS[3]
    return COLOURS[0] if red > green else COLOURS[1]


def _shape(cover: Pixels) -> str:
    rows, columns = cover.sum(axis=1), cover.sum(axis=0)
    lines = rows[rows > 0.06 * rows.max()]
    half = len(lines) // 2
    if float(lines[-half:].sum()) > _TRIANGLE_SLANT * float(lines[:half].sum()):
        return "triangle"
    # The widest few lines, not the bounding box: blur adds to a box but not to a sum.
    width, height = (float(np.sort(sums)[-4:].mean()) for sums in (rows, columns))
    return "circle" if float(cover.sum()) < _SQUARE_FILL * height * width else "square"
