"""Rows with a picture through Curator, as its users write it: `PYTHON curator_rows.py URL BODIES COUNT`.

In: an engine's URL, a JSON file of chat bodies, how many rows. Out: it ends with 0 when every row has its answer.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

AT_ONCE = 32
PLENTY = 10**9  # of requests and tokens a minute: nothing is to wait
os.environ |= {"TELEMETRY_ENABLED": "false", "HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
os.environ |= {"CURATOR_DISABLE_RICH_DISPLAY": "1", "CURATOR_VIEWER": "0"}

import tiktoken  # noqa: E402


def _by_bytes(_: str) -> tiktoken.Encoding:
    """A token for each byte, where OpenAI's own encodings cannot be downloaded: Curator counts with it, no more."""
    return tiktoken.Encoding("bytes", pat_str=r"[\s\S]", mergeable_ranks=BYTES, special_tokens={})


BYTES = {bytes([value]): value for value in range(256)}
tiktoken.get_encoding = tiktoken.encoding_for_model = _by_bytes

from bespokelabs import curator  # noqa: E402
from datasets import Dataset  # noqa: E402


class Ask(curator.LLM):  # type: ignore[misc]
    """The question with its picture."""

    def prompt(self, row: dict[str, Any]) -> Any:
        return row["question"], curator.types.Image(content=row["picture"], mime_type="image/jpeg")

    def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
        return {"id": row["id"], "answer": response}


def rows(bodies: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Each with a question of its own, so that no cache answers."""
    made = []
    system = bodies[0]["messages"][0]["content"]  # before the question: 0.1.31 takes none beside a picture
    for number in range(count):
        picture, text = bodies[number % len(bodies)]["messages"][1]["content"]
        encoded = picture["image_url"]["url"].partition(",")[2]
        made.append({"id": number, "question": f"{system}\n\n{number}: {text['text']}", "picture": encoded})
    return made


def main(url: str, path: str, count: str) -> None:
    bodies = json.loads(Path(path).read_text())
    asked = bodies[0]
    limits = {"max_requests_per_minute": PLENTY, "max_tokens_per_minute": PLENTY}
    llm = Ask(
        model_name=asked["model"],
        backend="openai",
        generation_params={"temperature": asked["temperature"], "max_tokens": asked["max_tokens"]},
        backend_params={"base_url": url, "api_key": "none", "max_concurrent_requests": AT_ONCE, **limits},
    )
    with tempfile.TemporaryDirectory() as folder:
        answered = llm(Dataset.from_list(rows(bodies, int(count))), working_dir=folder)
    found = len(getattr(answered, "dataset", answered))
    if found != int(count):
        raise SystemExit(f"expected {count} answers, got {found}")


if __name__ == "__main__":
    main(*sys.argv[1:])
