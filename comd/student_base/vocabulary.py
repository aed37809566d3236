"""The words of the demo world, and a word-level tokenizer over them.

In: nothing. Out: a tokenizer whose decoded answers equal the true ones but for case and punctuation.
"""

from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from comd.world.dataset import CAPTION_REQUEST
from comd.world.grammar import NOTHING, NUMBER_WORDS
from comd.world.phrasing import FILLINGS, KINDS, PHRASINGS, fill
from comd.world.scene import COLOURS, PLACES, SHAPES

PAD, UNKNOWN, END, USER, ASSISTANT, IMAGE = "<pad>", "<unk>", "<eos>", "<user>", "<assistant>", "<image>"
_SPECIAL = (PAD, UNKNOWN, END, USER, ASSISTANT, IMAGE)
_TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def _normalizer() -> normalizers.Normalizer:
    """Lower case, punctuation to blanks; a hyphen stays, so that a place is one word."""
    return normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex("[^a-z0-9-]+"), " ")])


def words() -> list[str]:
    """Every word of the questions, answers and captions, in alphabetical order."""
    texts = [fill(p, filling) for kind in KINDS for p in PHRASINGS[kind] for _, filling in FILLINGS[kind]]
    texts += [CAPTION_REQUEST, NOTHING, *NUMBER_WORDS, *COLOURS, *SHAPES, *PLACES]
    normalizer = _normalizer()
    return sorted({word for text in texts for word in normalizer.normalize_str(text).split()})


def tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template."""
    vocabulary = {word: number for number, word in enumerate((*_SPECIAL, *words()))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.normalizer = _normalizer()
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        extra_special_tokens={"image_token": IMAGE, "user_token": USER, "assistant_token": ASSISTANT},
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=_TEMPLATE.read_text(encoding="utf-8"),
    )
