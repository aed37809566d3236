"""What an engine's prefix cache saves: the share of prompt tokens that vLLM took from it, by prompt order and schedule.

In: the python of an environment with vLLM (`make test-vllm` makes one with its CPU build). Out: for the judge's and the
augmentor's real messages, asked in four ways, the share that vLLM counted as cached; a baseline by hardware.
"""

import argparse
import asyncio
import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.hardware import cpu_name
from comd.world.dataset import seed_questions
from comd.world.grammar import answer
from comd.world.render import draw_scene
from comd.world.scene import random_scene_of
from services.assessor.judge import judge_messages
from services.augmentor.generate import augmentor_messages
from shared import engine
from shared.images import ImageStore
from shared.messages import resolve_images
from shared.reply_form import ReplyForm
from shared.types import AssessmentRequest, JsonObject, Parent
from tests.talking_model import make_talking_model
from tests.vllm.server import VllmServer

BASELINES = Path(__file__).parent / "baselines"
SIDE = 192  # (192 / 8)^2 = 576 tokens a picture, as LLaVA-1.5 has
AT_ONCE = 8
BLOCK_TOKENS, CACHE_TOKENS = (
    32,
    24_576,
)  # some 14 of the judge's prompts: less than all, more than are asked at once
TOKEN_BYTES = 2048  # keys and values of a token: two layers of 64 numbers of 4 bytes each
SECRET = b"benchmark"
FORM: ReplyForm = "json"  # the prompt of engines that take a schema; the answers do not matter here


@dataclass(frozen=True)
class Arm:
    """One way to ask: whether pictures and fixed text stand first, and whether a picture's requests come together."""

    ours_first: bool
    by_image: bool

    @property
    def name(self) -> str:
        order = "image and rules first" if self.ours_first else "variable text first"
        return f"{order}, {'by image' if self.by_image else 'shuffled'}"


ARMS = [Arm(ours_first, by_image) for ours_first in (True, False) for by_image in (True, False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, default=Path(".venv-vllm/bin/python"))
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--questions", type=int, default=3, help="for each image")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="comd-prefix-") as folder:
        report = _measure(options, Path(folder))
    BASELINES.mkdir(exist_ok=True)
    text = json.dumps(report, indent=1)
    (BASELINES / f"prefix_cache-{cpu_name()}.json").write_text(text + "\n")
    print(text)


def _measure(options: argparse.Namespace, folder: Path) -> JsonObject:
    """All arms against one server, its cache emptied before each."""
    store = ImageStore(str(folder / "images"))
    requests = {
        role: asked(role, store, options.images, options.questions) for role in ("assessor", "augmentor")
    }
    model = make_talking_model(folder / "model", side=SIDE)
    flags = ["--max-model-len", "4096", "--max-num-seqs", str(AT_ONCE), "--block-size", str(BLOCK_TOKENS)]
    flags += ["--num-gpu-blocks-override", str(CACHE_TOKENS // BLOCK_TOKENS)]
    variables = {"TORCH_COMPILE_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    server = VllmServer(options.python.absolute(), model, folder / "vllm.log", flags, variables)
    server.start()
    try:
        server.wait()
        shares = {
            role: {arm.name: asyncio.run(_share(server, store, groups, arm)) for arm in ARMS}
            for role, groups in requests.items()
        }
    finally:
        server.stop()
    setting = {"images": options.images, "questions": options.questions, "at_once": AT_ONCE}
    return {"device": cpu_name(), **setting, "cache_tokens": CACHE_TOKENS, "cached_share": shares}


def asked(role: str, store: ImageStore, num_images: int, num_questions: int) -> list[list[list[JsonObject]]]:
    """The messages of every request, image by image, as the role service builds them."""
    return [_about_one_image(role, store, Random(number), num_questions) for number in range(num_images)]


def _about_one_image(role: str, store: ImageStore, rng: Random, num_questions: int) -> list[list[JsonObject]]:
    scene, file = random_scene_of(rng, heldout=False), io.BytesIO()
    draw_scene(scene, rng).save(file, "PNG")
    image = store.put(file.getvalue())
    questions = seed_questions(scene, num_questions, rng)
    if role == "augmentor":
        parents = [Parent(id=at, text=text, task_type=q.kind) for at, (q, text) in enumerate(questions)]
        return [augmentor_messages(image, parent, FORM) for parent in parents]
    judged = [
        AssessmentRequest(
            image=image,
            instruction=text,
            teacher_answer=answer(query, scene) or "",
            student_answer="It is red.",
            seed=0,
        )
        for query, text in questions
    ]
    return [
        judge_messages(one, SECRET, order, FORM)
        for one in judged
        for order in ("teacher_first", "student_first")
    ]


def arranged(groups: Sequence[Sequence[list[JsonObject]]], arm: Arm) -> list[list[JsonObject]]:
    """The requests as an arm has them, in the order in which it asks them."""
    flat = [messages for group in groups for messages in group]
    if not arm.by_image:
        Random(0).shuffle(flat)
    return flat if arm.ours_first else [_variable_first(messages) for messages in flat]


def _variable_first(messages: list[JsonObject]) -> list[JsonObject]:
    """The same parts in the order that comes naturally: question and answers, rules, picture."""
    *before, last = messages
    return [*before, {**last, "content": last["content"][::-1]}]


async def _share(server: VllmServer, store: ImageStore, groups: Any, arm: Arm) -> float:
    """Of all prompt tokens, those that vLLM had in its cache."""
    assert server.post("/reset_prefix_cache").json()["success"]
    before, places = server.metrics(), asyncio.Semaphore(AT_ONCE)
    async with engine.pooled_client(60.0) as http, asyncio.TaskGroup() as group:

        async def ask(messages: list[JsonObject]) -> None:
            async with places:
                ready = resolve_images(messages, store, frozenset(), with_uuid=True)
                await engine.chat(http, server.spec, {"messages": ready, "max_tokens": 16, "seed": 1})

        for messages in arranged(groups, arm):
            group.create_task(ask(messages))
    after = server.metrics()
    hits, queries = (
        after[name] - before[name]
        for name in ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total")
    )
    return round(hits / queries, 3)


if __name__ == "__main__":
    main()
