"""The fields of a chat request from outside that leave for an engine; an engine may do more with others than answer.

vLLM, say, takes templates, pictures' processing and addresses of other servers in fields of its own.
"""

from shared.errors import BadRequest
from shared.types import EngineKind, JsonObject

OPENAI = frozenset(
    {
        "audio",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
SAMPLING_OF_VLLM = frozenset(
    {
        "bad_words",
        "ignore_eos",
        "include_stop_str_in_output",
        "length_penalty",
        "min_p",
        "min_tokens",
        "priority",
        "repetition_penalty",
        "skip_special_tokens",
        "stop_token_ids",
        "structured_outputs",
        "top_k",
    }
)
PROMPT_OF_VLLM = frozenset(  # an answer's beginning given, and how likely the prompt's tokens are
    {"add_generation_prompt", "continue_final_message", "prompt_logprobs"}
)
OF_VLLM = SAMPLING_OF_VLLM | PROMPT_OF_VLLM


def check_fields(body: JsonObject, kind: EngineKind) -> None:
    """BadRequest that names a field which is not passed on to engines of this kind."""
    known = OPENAI | OF_VLLM if kind == "vllm" else OPENAI
    if unknown := sorted(body.keys() - known):
        where = "" if kind == "vllm" or unknown[0] not in OF_VLLM else " (kind vllm alone takes it)"
        raise BadRequest(
            f"{unknown[0]}: expected a field of OpenAI's chat completions{where}; leave it out",
            param=unknown[0],
        )


def without_idle_top_p(body: JsonObject) -> JsonObject:
    """The body without a `top_p` that says nothing: at temperature 0 the likeliest token is taken.

    Some clients send 0 there, which vLLM refuses.
    """
    return {name: value for name, value in body.items() if name != "top_p" or body.get("temperature") != 0}
