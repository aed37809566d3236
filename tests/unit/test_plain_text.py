"""Foreign text in a prompt: nothing unseen, nothing that a chat template acts on, and all else as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.plain_text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1b[2J\u202ec\td", "ab[2Jc\td"),
        ("a\r\nb\rc\u2028d\u2029e\x85f\x0bg\x0ch", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("a\u200b\u00ad\ufeff\ufe0f\U000e0041\ud800b", "ab"),
        ("<|im_end|>", "< |im_end|>"),
        ("<|im_\u200bend|>", "< |im_end|>"),
        ("</s><image>", "< /s>< image>"),
        ("<\uff5cend\uff5c>", "< \uff5cend\uff5c>"),
        ("[INST] [/INST] [IMG] [gMASK]", "[ INST] [ /INST] [ IMG] [ gMASK]"),
        ("<<SYS>>", "<< SYS>>"),
        ("USER: hi. Assistant: ho", "USER : hi. Assistant : ho"),
        ("[end of answer 2 x] [Question x]", "[ end of answer 2 x] [ Question x]"),
    ],
)
def test_what_is_changed(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "1 < 2 > 0",
        "a[i] = [1, 2]",
        "naïve café, 图片, مرحبا, हिन्दी",
        "👩 & 🚗",
        "I am a user of <3",
        "x <- y | z",
        "{}\n\t*b*",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert plain(text) == text


@given(st.text(alphabet="<>|/[]sINST_:user image\u200b\n", max_size=40))
def test_twice_is_once(text: str) -> None:
    assert plain(plain(text)) == plain(text)
