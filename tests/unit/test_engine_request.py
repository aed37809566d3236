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
    ],
)
def test_what_it_cannot_do_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=field):
        read({**HELLO, field: value})
