"""Rows with a picture through a distilabel pipeline: `PYTHON distilabel_rows.py URL BODIES COUNT`.

In: an engine's URL, a JSON file of chat bodies, how many rows. Out: it ends with 0 when every row has its answer.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

AT_ONCE = 32
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

from distilabel.models import OpenAILLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps import LoadDataFromDicts  # noqa: E402
from distilabel.steps.tasks import TextGenerationWithImage  # noqa: E402


def rows(bodies: list[dict[str, Any]], count: int) -> list[dict[str, str]]:
    made = []
    for number in range(count):
        picture, text = bodies[number % len(bodies)]["messages"][1]["content"]
        encoded = picture["image_url"]["url"].partition(",")[2]
        made.append({"instruction": f"{number}: {text['text']}", "image": encoded})
    return made


def main(url: str, path: str, count: str) -> None:
    bodies = json.loads(Path(path).read_text())
    asked = bodies[0]
    sampling = {"temperature": asked["temperature"], "max_new_tokens": asked["max_tokens"]}
    llm = OpenAILLM(model=asked["model"], base_url=url, api_key="none", generation_kwargs=sampling)
    with tempfile.TemporaryDirectory() as folder:
        with Pipeline("rows", cache_dir=folder) as pipeline:
            load = LoadDataFromDicts(data=rows(bodies, int(count)), batch_size=AT_ONCE)
            ask = TextGenerationWithImage(
                llm=llm,
                system_prompt=asked["messages"][0]["content"],
                image_type="base64",
                input_batch_size=AT_ONCE,
                add_raw_input=False,  # with it, writing rows with a system prompt and a picture fails
            )
            load >> ask
        answered = pipeline.run(use_cache=False)["default"]["train"]
    found = sum(text is not None for text in answered["generation"])
    if found != int(count):
        raise SystemExit(f"expected {count} answers, got {found}")


if __name__ == "__main__":
    main(*sys.argv[1:])
