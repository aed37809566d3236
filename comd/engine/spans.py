"""Where the answers of a rendered dialogue stand. In: a chat template's texts. Out: spans."""

from collections.abc import Callable, Sequence

from shared.errors import BadRequest
from shared.types import JsonObject

Span = tuple[int, int]  # half-open


def answer_spans(
    messages: Sequence[JsonObject], render: Callable[[Sequence[JsonObject], bool], str], stops: Sequence[str]
) -> list[Span]:
    """Each answer's span in the dialogue's text, its stop token included, for any chat template.

    An answer is what the text gains over the prompt that asks for it, up to the first stop token: this is
    what the model has to say in serving, too. `render(messages, with_prompt)` gives the template's text.
    BadRequest where a template writes an earlier turn in another way once later ones follow.
    """
    spans: list[Span] = []
    whole = render(messages, False)
    for at, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt, answered = render(messages[:at], True), render(messages[: at + 1], False)
        if not (answered.startswith(prompt) and whole.startswith(answered)):
            raise BadRequest(f"writes answer {len(spans) + 1} not just behind its own prompt")
        gained = answered[len(prompt) :]
        ends = [found + len(stop) for stop in stops if (found := gained.find(stop)) >= 0]
        if not ends:
            raise BadRequest(f"writes none of the stop tokens {', '.join(stops)} behind an answer")
        spans.append((len(prompt), len(prompt) + min(ends)))
    return spans


def token_spans(offsets: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
    """Character spans as token spans: the tokens that lie wholly inside. Both come in order."""
    found: list[Span] = []
    at = 0
    for start, end in spans:
        while at < len(offsets) and offsets[at][0] < start:
            at += 1
        first = at
        while at < len(offsets) and offsets[at][1] <= end:
            at += 1
        found.append((first, at))
    return found
