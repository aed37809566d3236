"""The world's pictures: drawn the same by seed, read back from their pixels in any encoding, held out by layout."""

from io import BytesIO
from random import Random

import pytest
from PIL import Image

from comd.world.perception import perceive
from comd.world.render import draw_scene
from comd.world.scene import HELDOUT_SHARE, Scene, is_heldout, layout_key, random_scene, random_scene_of

NUM_PICTURES = 80


def encoded(picture: Image.Image, form: str) -> bytes:
    buffer = BytesIO()
    if form.startswith("scaled"):
        picture = picture.resize((96, 96))
    if form.endswith("jpeg"):
        picture.save(buffer, "JPEG", quality=85)
    else:
        picture.save(buffer, "PNG")
    return buffer.getvalue()


def drawn(seed: int) -> tuple[Scene, Image.Image]:
    rng = Random(seed)
    scene = random_scene(rng)
    return scene, draw_scene(scene, rng)


@pytest.mark.parametrize("form", ["png", "jpeg", "scaled png", "scaled jpeg"])
def test_a_picture_is_perceived_as_it_was_drawn(form: str) -> None:
    wrong = []
    for seed in range(NUM_PICTURES):
        scene, picture = drawn(seed)
        if perceive(encoded(picture, form)) != scene:
            wrong.append(seed)
    assert wrong == []


def test_the_same_seed_draws_the_same_pixels() -> None:
    assert drawn(5)[1].tobytes() == drawn(5)[1].tobytes()
    assert drawn(5)[1].tobytes() != drawn(6)[1].tobytes()


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_shows_nothing(data: bytes) -> None:
    assert perceive(data) is None


def test_an_empty_or_tiny_picture_shows_nothing() -> None:
    assert perceive(encoded(Image.new("RGB", (64, 64), (240, 240, 240)), "png")) is None
    assert perceive(encoded(Image.new("RGB", (9, 9), (240, 20, 20)), "png")) is None


def test_held_out_layouts_are_decided_by_the_layout_alone() -> None:
    rng = Random(0)
    scenes = [random_scene(rng) for _ in range(4000)]
    share = sum(is_heldout(scene) for scene in scenes) / len(scenes)
    assert abs(share - HELDOUT_SHARE) < 0.03
    training = {layout_key(random_scene_of(rng, heldout=False)) for _ in range(2000)}
    heldout = {layout_key(random_scene_of(rng, heldout=True)) for _ in range(500)}
    assert not training & heldout


@pytest.mark.parametrize("colour", ["red", "white", "black", "grey"])
def test_a_plain_picture_shows_nothing_of_the_world(colour: str) -> None:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    assert perceive(buffer.getvalue()) is None


@pytest.mark.parametrize("seed", range(10))
def test_no_picture_is_too_strange_to_look_at(seed: int) -> None:
    rng = Random(seed)
    size = (rng.randint(1, 90), rng.randint(1, 90))
    noise = Image.frombytes("RGB", size, rng.randbytes(3 * size[0] * size[1]))
    for picture in (
        noise,
        noise.resize((64, 64), Image.Resampling.BICUBIC),
        noise.convert("L").convert("RGB"),
    ):
        buffer = BytesIO()
        picture.save(buffer, "PNG")
        perceive(buffer.getvalue())  # whatever it sees, it does not fail
