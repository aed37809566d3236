"""Which fields of a chat request leave for which kind of engine."""

import pytest

from shared.chat_fields import check_fields, without_idle_top_p
from shared.errors import BadRequest

PLAIN = {"messages": [], "model": "m", "temperature": 0.5, "seed": 1, "response_format": {"type": "text"}}


@pytest.mark.parametrize("kind", ["openai", "vllm", "scripted"])
def test_openais_own_fields_leave_for_every_engine(kind: str) -> None:
    check_fields(PLAIN, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "field",
    ["top_k", "stop_token_ids", "prompt_logprobs", "add_generation_prompt", "continue_final_message"],
)
def test_what_only_vllm_takes_leaves_for_vllm_alone(field: str) -> None:
    check_fields({**PLAIN, field: 1}, "vllm")
    for kind in ("openai", "scripted"):
        with pytest.raises(BadRequest, match=rf"{field}: .*kind vllm alone") as refused:
            check_fields({**PLAIN, field: 1}, kind)  # type: ignore[arg-type]
        assert refused.value.param == field


@pytest.mark.parametrize(
    "field", ["chat_template", "kv_transfer_params", "mm_processor_kwargs", "documents", "extra_body"]
)
@pytest.mark.parametrize("kind", ["openai", "vllm"])
def test_what_makes_an_engine_do_more_than_answer_stays_here(field: str, kind: str) -> None:
    with pytest.raises(BadRequest, match=f"{field}: expected a field of OpenAI"):
        check_fields({**PLAIN, field: {}}, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0, 0.0])
def test_top_p_is_left_out_where_it_says_nothing(temperature: float) -> None:
    greedy = {**PLAIN, "temperature": temperature}
    assert without_idle_top_p({**greedy, "top_p": 0}) == greedy
    assert without_idle_top_p({**greedy, "top_p": 0.9}) == greedy


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_top_p_stays_where_tokens_are_drawn(temperature: float | None) -> None:
    drawn = {**PLAIN, "temperature": temperature, "top_p": 0.9}
    assert without_idle_top_p(drawn) == drawn
