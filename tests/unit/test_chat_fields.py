"""Which fields of a chat request leave for which kind of engine."""

import pytest

from shared.chat_fields import check_fields
from shared.errors import BadRequest

PLAIN = {"messages": [], "model": "m", "temperature": 0.5, "seed": 1, "response_format": {"type": "text"}}


@pytest.mark.parametrize("kind", ["openai", "vllm", "scripted"])
def test_openais_own_fields_leave_for_every_engine(kind: str) -> None:
    check_fields(PLAIN, kind)  # type: ignore[arg-type]


def test_sampling_of_vllm_leaves_for_vllm_alone() -> None:
    check_fields({**PLAIN, "top_k": 4, "stop_token_ids": [1]}, "vllm")
    with pytest.raises(BadRequest, match=r"top_k: .*kind vllm alone") as refused:
        check_fields({**PLAIN, "top_k": 4}, "openai")
    assert refused.value.param == "top_k"


@pytest.mark.parametrize(
    "field", ["chat_template", "kv_transfer_params", "mm_processor_kwargs", "documents", "extra_body"]
)
@pytest.mark.parametrize("kind", ["openai", "vllm"])
def test_what_makes_an_engine_do_more_than_answer_stays_here(field: str, kind: str) -> None:
    with pytest.raises(BadRequest, match=f"{field}: expected a field of OpenAI"):
        check_fields({**PLAIN, field: {}}, kind)  # type: ignore[arg-type]
