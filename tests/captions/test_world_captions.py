"""The world's captions: their noun phrases by its own small spaCy pipeline, and the demo's selection of them."""

import json
from pathlib import Path
from random import Random

from comd.demo.folder import DemoFolder
from comd.demo.make import CHOSEN, choose_captions
from comd.world import dataset
from comd.world.caption_pipeline import save_pipeline
from comd.world.grammar import caption
from comd.world.scene import random_scene
from services.trainer.captions.phrases import load, noun_phrases


def test_the_phrases_are_the_scenes_things(tmp_path: Path) -> None:
    save_pipeline(tmp_path / "pipeline", seed=1)
    drawn = Random("scenes that the pipeline was not trained on")
    scenes = [random_scene(drawn) for _ in range(500)]
    things = [list(dict.fromkeys(str(thing) for thing in scene if thing)) for scene in scenes]
    assert noun_phrases(load(str(tmp_path / "pipeline")), [caption(scene) for scene in scenes]) == things


def test_the_demo_chooses_its_captions_once(tmp_path: Path) -> None:
    folder = DemoFolder(0, tmp_path)
    dataset.write(folder.world, 0, 40, num_heldout_per_kind=1)
    said = choose_captions(folder)
    assert said.startswith("40 of 40 captions were chosen")  # none of its phrases is above the cap
    before = json.loads((folder.world / "captions.json").read_text())
    after = json.loads((folder.captions / CHOSEN).read_text())
    assert [(one["id"], one["image"], one["conversations"]) for one in after] == [
        (one["id"], one["image"], one["conversations"]) for one in before
    ]
    (folder.world / "captions.json").unlink()
    assert choose_captions(folder) == said
