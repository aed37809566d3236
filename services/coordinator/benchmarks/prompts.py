"""What a tested model is asked. In: an item's content. Out: texts, and the sampling that a kind is asked with."""

from services.coordinator.benchmarks.items import LETTERS, Kind
from shared.types import JsonObject

PROMPT_VERSION = "benchmarks-1"

TEMPERATURE: dict[Kind, float] = {
    "scienceqa": 0.5,  # the paper's
    "seed-bench": 0.1,  # the paper's
    "llava-bench": 0.5,  # as everywhere in the loop; the paper says none
}
MAX_TOKENS: dict[Kind, int] = {"scienceqa": 1024, "seed-bench": 32, "llava-bench": 1024}

ASK_REASONED = 'Choose one, and end with "The answer is X.", where X is its letter.'
ASK_LETTER = "Answer with the letter of the right choice alone."
UNSEEN = "The picture is not shown; choose what is likeliest without it."


def question_text(kind: Kind, content: JsonObject, *, with_picture: bool) -> str:
    """What the model is asked: freely for the LLaVA test set, for a letter where there are choices."""
    if kind == "llava-bench":
        return str(content["question"])
    unseen = not with_picture and (kind == "seed-bench" or "IMG" in content["groups"])
    lines = [
        likelihood_text(content),
        *(f"({letter}) {choice}" for letter, choice in zip(LETTERS, content["choices"], strict=False)),
        *([UNSEEN] if unseen else []),
        ASK_REASONED if kind == "scienceqa" else ASK_LETTER,
    ]
    return "\n".join(lines)


def likelihood_text(content: JsonObject) -> str:
    """The question, with its hint, and no choices: their texts are the continuations that are compared."""
    hint = content.get("hint")
    return f"{content['question']}\nContext: {hint}" if hint else str(content["question"])


def target_text(content: JsonObject) -> str:
    """What a model is fine-tuned to answer on ScienceQA: lecture, solution, then the letter."""
    letter = LETTERS[content["answer"]]
    parts = [content["lecture"].strip(), content["solution"].strip(), f"The answer is {letter}."]
    return "\n".join(part for part in parts if part)
