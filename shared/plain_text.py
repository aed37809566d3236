"""Text that a model or a person wrote, made fit to stand in a prompt as text and nothing else.

In: any text. Out: the same to the eye, without what no eye sees and without what a chat template would act on.
"""

import re

from shared.errors import Unprocessable

MAX_TEXT_CHARS = 1_000_000
LINE_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
UNSEEN = re.compile(  # controls, halves of surrogate pairs, and what Unicode calls default ignorable
    "[\0-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# The engine's tokenizer is not known here, so what control tokens look like in general: <|im_end|>, </s>, <image>,
# [INST]. So too the lines of our own fence, which a hasty reader takes for true whatever mark they carry.
TOKEN_START = re.compile(
    r"<(?=[|｜]|/?[A-Za-z0-9][\w.:-]*/?>)"
    r"|\[(?=/?[A-Za-z]?[A-Z_]{2,}\]|(?i:\s*(?:end of )?(?:question|answer)\b))"
)
SPEAKER = re.compile(r"\b(?i:user|assistant|system|human)(?=:)")


def plain(text: str) -> str:
    """`text` with plain line breaks, nothing unseen, and control tokens broken by a space, as training does."""
    seen = UNSEEN.sub("", LINE_BREAKS.sub("\n", text))
    return SPEAKER.sub(r"\g<0> ", TOKEN_START.sub(r"\g<0> ", seen))


def check_text(name: str, text: str) -> None:
    """Unprocessable where a field is beyond all measure, or is no Unicode text."""
    if len(text) > MAX_TEXT_CHARS:
        raise Unprocessable(
            f"{name}: expected {MAX_TEXT_CHARS} characters at most, got {len(text)}", param=name
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unprocessable(
            f"{name}: character {error.start} is half of a surrogate pair; send whole Unicode characters",
            param=name,
        ) from error
