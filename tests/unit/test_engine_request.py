"""The engine's chat requests: what is taken, and what is refused by name."""

from typing import Any

import pytest

from comd.engine.request import read
from shared.errors import BadRequest

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_defaults() -> None:
    asked = read(HELLO)
    assert (asked.temperature, asked.max_tokens, asked.stops, asked.stream) == (1.0, 512, (), False)
    assert asked.dialogue.messages == [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]


def test_pictures_are_found_in_order() -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in ("data:a", "comd-image:b")]
    asked = read({**HELLO, "messages": [{"role": "user", "content": parts}], "stop": "x", "max_tokens": 3})
    assert asked.dialogue.image_urls == ["data:a", "comd-image:b"]
    assert (asked.stops, asked.max_tokens) == (("x",), 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", None),
        ("messages", []),
        ("messages", [{"role": "tool", "content": "x"}]),
        ("messages", [{"role": "user", "content": [{"type": "video"}]}]),
        ("messages", [{"role": "assistant", "content": [{"type": "image_url", "image_url": "data:x"}]}]),
        ("temperature", 3),
        ("temperature", "hot"),
        ("max_tokens", -1),
        ("max_tokens", "many"),
        ("seed", "x"),
        ("stop", [1]),
        ("n", 2),
        ("top_p", 0.5),
        ("tools", [{"type": "function"}]),
        ("prompt_logprobs", 1),
        ("prompt_logprobs", -1),
        ("prompt_logprobs", False),
        ("add_generation_prompt", "yes"),
        ("continue_final_message", 1),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=field):
        read({**HELLO, field: value})


ANSWERED = {**HELLO, "messages": [*HELLO["messages"], {"role": "assistant", "content": "hel"}]}


def test_how_a_prompt_ends() -> None:
    assert (read(HELLO).ending, read(HELLO).prompt_logprobs) == ("asking", False)
    assert read({**ANSWERED, "add_generation_prompt": False}).ending == "closed"
    begun = read({**ANSWERED, "add_generation_prompt": False, "continue_final_message": True})
    assert begun.ending == "open"
    assert read({**HELLO, "prompt_logprobs": 0}).prompt_logprobs


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({**ANSWERED, "continue_final_message": True}, "expected add_generation_prompt false beside it"),
        (
            {**HELLO, "continue_final_message": True, "add_generation_prompt": False},
            "expected an assistant's message at the end, got user's",
        ),
        ({**HELLO, "prompt_logprobs": 0, "stream": True}, "prompt_logprobs: expected a whole answer"),
    ],
)
def test_what_does_not_go_together_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read(body)


def test_a_top_p_that_says_nothing_is_taken_and_one_that_does_is_refused() -> None:
    assert read({**HELLO, "top_p": 0, "temperature": 0}).temperature == 0
    with pytest.raises(BadRequest, match="top_p"):
        read({**HELLO, "top_p": 0, "temperature": 0.5})
