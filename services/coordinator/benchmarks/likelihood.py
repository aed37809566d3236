"""The choice that a model finds likeliest. In: replies with prompt log-probabilities. Out: each choice's likelihood.

A choice's score is the mean negative log-likelihood of its tokens behind the question, as SEED-Bench's authors do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from shared.errors import EngineReplyError, Unprocessable
from shared.types import JsonObject

NO_LOGPROBS = (
    'the engine gives no prompt log-probabilities{said}; vLLM does (kind = "vllm"); use method = "letter"'
)


@dataclass(frozen=True)
class PromptToken:
    """One token of a prompt, and its log-probability behind all that stands before it, in nats."""

    token_id: int
    logprob: float


@dataclass(frozen=True)
class Likelihood:
    mean_nll: float
    num_tokens: int


class NoLogprobs(Unprocessable):
    """The engine cannot say how likely a prompt is; `said` is how it put that."""

    def __init__(self, said: str = ""):
        super().__init__(NO_LOGPROBS.format(said=f" ({said})" if said else ""), code="no_prompt_logprobs")


def prompt_tokens(reply: JsonObject) -> list[PromptToken]:
    """The prompt's tokens from its second on: nothing stands before the first, so that it has no probability.

    NoLogprobs where the reply has none, EngineReplyError where they are not in vLLM's form.
    """
    given = reply.get("prompt_logprobs")
    if given is None:
        raise NoLogprobs
    try:
        return [_token(entry) for entry in given[1:]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineReplyError(
            "prompt_logprobs: expected null, then an object with one token id and its logprob for each token, "
            f"got {str(given)[:200]}"
        ) from error


def _token(entry: JsonObject) -> PromptToken:
    ((token_id, said),) = entry.items()
    return PromptToken(int(token_id), float(said["logprob"]))


def choice_score(prefix: Sequence[PromptToken], whole: Sequence[PromptToken]) -> Likelihood:
    """The likelihood of what `whole` says beyond `prefix`, the prompt that asks for it.

    It begins where the two part, at the latest behind the prefix: a tokenizer may join the choice's first letters
    to the prefix's last. Unprocessable where nothing is left.
    """
    pairs = zip(prefix, whole, strict=False)
    num_common = sum(1 for _ in takewhile(lambda pair: pair[0].token_id == pair[1].token_id, pairs))
    said = whole[num_common:]
    if not said:
        raise Unprocessable(
            f"the choice adds no token to the {len(prefix)} of its question; give each choice a text"
        )
    return Likelihood(-sum(token.logprob for token in said) / len(said), len(said))


def best(losses: Sequence[float]) -> int:
    """The choice with the lowest mean; the first of those that are equal."""
    return min(range(len(losses)), key=losses.__getitem__)
