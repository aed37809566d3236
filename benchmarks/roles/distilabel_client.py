"""distilabel's tasks for text and for pictures as a client: told what to do as `client` is, in batches of 32 rows.

The tasks are run in this process: the processes and queues of a distilabel pipeline would come on top.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from distilabel.models import OpenAILLM
from distilabel.steps.tasks import TextGeneration, TextGenerationWithImage

from benchmarks.roles.client import AT_ONCE, Body
from benchmarks.roles.mock_reply import TEXT


def tasks(url: str, asked: Body) -> dict[str, Any]:
    system = asked["messages"][0]["content"]
    sampling = {"temperature": asked["temperature"], "max_new_tokens": asked["max_tokens"]}
    made: dict[str, Any] = {}
    for mode, kind in (("text", TextGeneration), ("image", TextGenerationWithImage)):
        base_url = url.removesuffix("/chat/completions")
        llm = OpenAILLM(model=asked["model"], base_url=base_url, api_key="none", generation_kwargs=sampling)
        given = {"image_type": "base64"} if mode == "image" else {}
        made[mode] = kind(llm=llm, system_prompt=system, input_batch_size=AT_ONCE, **given)
        made[mode].load()
    return made


def row(body: Body) -> dict[str, str]:
    """A body as distilabel has it: the instruction, and the picture in base64."""
    *pictures, text = body["messages"][1]["content"]
    asked = {"instruction": text["text"]}
    if pictures:
        asked["image"] = pictures[0]["image_url"]["url"].partition(",")[2]
    return asked


def run(task: Any, rows: list[dict[str, str]], count: int) -> None:
    for at in range(0, count, AT_ONCE):
        batch = [rows[number % len(rows)] for number in range(at, min(at + AT_ONCE, count))]
        for answered in task.process(batch):
            if [one["generation"] for one in answered] != [TEXT] * len(batch):
                raise RuntimeError(f"expected {len(batch)} answers, got {str(answered)[:300]}")


def main(url: str, path: str) -> None:
    bodies = json.loads(Path(path).read_text())
    made = tasks(url, bodies["text"][0])
    rows = {mode: [row(body) for body in asked] for mode, asked in bodies.items()}
    print("ready", flush=True)
    for line in sys.stdin:
        mode, count = line.split()
        run(made[mode], rows[mode], int(count))
        print("done", flush=True)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(*sys.argv[2:])
