"""Makes a small LLaVA-form model that talks without having learnt to: random words that end by themselves.

In: a folder and a seed. Out: the folder, as transformers and vLLM load it. Any text can be said and read (bytes), so
JSON grammars work; what is said depends on the picture and on every word before it, and makes no sense.
"""

import re
from itertools import product
from pathlib import Path
from typing import Any

from comd.world.phrasing import FILLINGS, PHRASINGS
from services.trainer.training.publish import normalise_names

TEMPLATE = (  # parts in the order in which they came
    "{% for message in messages %}{{ message['role'] | upper }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
PATCH = 8
HIDDEN = 64  # two heads of 32, the least that vLLM's CPU attention takes
CONSTANT, FRESH = (
    0,
    1,
)  # channels that no layer writes to: always on, and on after what begins a reply or a string
LOUD = 40.0  # of the constant channel, beside which the others hardly change the last norm
WORD = re.compile(r"Ġ[a-z]{2,}")
STRUCTURE = set("{}[],:")
# Logits. With about 160 words of standard deviation 1 at temperature 0.5, one token in ten ends a reply.
ENDS, CLOSES, SAID, BUILDS, BLANK, UNSAID = 2.2, 1.7, 0.0, -8.0, -20.0, -12.0


def make_talking_model(folder: Path, seed: int = 0, side: int = 32, max_length: int = 8192) -> Path:
    """A model of some 200 thousand parameters; a picture is scaled to `side` and becomes (side / 8)^2 tokens."""
    import torch
    from transformers import LlavaForConditionalGeneration

    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(_config(tokenizer, side, max_length))
    with torch.no_grad():
        _let_depend_on_everything(model)
        _reserve_channels(model, tokenizer)
        _prefer_words(model.lm_head.weight, tokenizer)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    normalise_names(folder / "model.safetensors")
    _processor(tokenizer, side).save_pretrained(folder)
    return folder


def make_tokenizer(size: int = 900) -> Any:
    """Bytes, merged into the words of the world's questions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<image>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    raw.train_from_iterator(_questions(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        model_input_names=["input_ids", "attention_mask"],
    )


def _questions() -> list[str]:
    return [
        " " + wording.format(x=words).lower()
        for kind, wordings in PHRASINGS.items()
        for wording, (_, words) in product(wordings, FILLINGS[kind])
    ]


def _config(tokenizer: Any, side: int, max_length: int) -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    shape = {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = LlamaConfig(
        **shape,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_position_embeddings=max_length,
    )
    return LlavaConfig(
        vision_config=CLIPVisionConfig(**shape, image_size=side, patch_size=PATCH),
        text_config=text,
        image_token_id=tokenizer.image_token_id,
        image_seq_length=(side // PATCH) ** 2,
        vision_feature_layer=-1,
    )


def _let_depend_on_everything(model: Any) -> None:
    """Wider draws than a model to be trained begins with: there, all prompts look alike to the last layer."""
    import torch

    for name, weight in model.named_parameters():
        if weight.dim() > 1 and "norm" not in name:
            fan_in = 1 if "embed" in name else weight[0].numel()
            torch.nn.init.normal_(weight, std=1 / fan_in**0.5)


def _reserve_channels(model: Any, tokenizer: Any) -> None:
    """The two channels carry their own through all layers, which neither write nor read them."""
    language = model.model.language_model
    reserved = [CONSTANT, FRESH]
    words = language.embed_tokens.weight
    words[:, CONSTANT], words[:, FRESH] = LOUD, 0.0
    words[tokenizer.convert_tokens_to_ids([":", '"']), FRESH] = LOUD
    pictures = model.model.multi_modal_projector.linear_2
    pictures.weight[reserved] = 0.0
    pictures.bias[CONSTANT], pictures.bias[FRESH] = LOUD, 0.0
    for layer in language.layers:
        layer.self_attn.o_proj.weight[reserved] = 0.0
        layer.mlp.down_proj.weight[reserved] = 0.0
        for norm in (layer.input_layernorm, layer.post_attention_layernorm):
            norm.weight.fill_(LOUD / HIDDEN**0.5)
            norm.weight[reserved] = 0.0


def _prefer_words(head: Any, tokenizer: Any) -> None:
    """The last layer: chance over the words, what ends a reply or a string now and then, other bytes hardly ever.

    After the last norm the constant channel is about the root of the width.
    """
    import torch

    root = HIDDEN**0.5
    torch.nn.init.normal_(head, std=0.4)  # logits of standard deviation 1
    head[:, FRESH] = 0.0
    for token, number in tokenizer.get_vocab().items():
        head[number, CONSTANT] = _logit(token) / root
    for token in ("</s>", '"'):
        number = tokenizer.convert_tokens_to_ids(token)
        head[number] = 0.0
        head[number, CONSTANT], head[number, FRESH] = _logit(token) / root, -20.0 / root


def _logit(token: str) -> float:
    if token in {"</s>", '"'}:
        return ENDS if token == "</s>" else CLOSES
    if not token.strip("ĠĊĉč"):
        return BLANK
    if token in STRUCTURE:
        return BUILDS
    return SAID if WORD.fullmatch(token) else UNSAID


def _processor(tokenizer: Any, side: int) -> Any:
    from transformers import CLIPImageProcessorPil, LlavaProcessor

    square = {"height": side, "width": side}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=square, crop_size=square, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
