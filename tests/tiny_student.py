"""Makes a very small LLaVA-form student with random weights, and pictures, for tests of trainer and engine."""

import io
import json
from pathlib import Path

from PIL import Image

from shared.images import ImageStore
from shared.types import JsonObject

TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A:{% generation %}"
    "{{ m['content'][0]['text'] }}{{ eos_token }}{% endgeneration %}{% else %}{{ m['role'][0] }}:"
    "{% for p in m['content'] %}{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
)


def make_student(
    folder: Path, seed: int = 0, hidden: int = 32, layers: int = 2, max_length: int = 256
) -> Path:
    """A student of 60 thousand parameters whose tokens are characters; a picture is four tokens.

    Its head size is half of `hidden`: vLLM's CPU attention wants 32.
    """
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=32,
    )
    text = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=100,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        max_position_embeddings=max_length,
    )
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=3, image_seq_length=4, vision_feature_layer=-1
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return folder


def make_processor() -> object:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = ["<pad>", "<s>", "</s>", "<image>", "<unk>", *map(chr, range(32, 127))]
    raw = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    size = {"height": 64, "width": 64}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=32,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def picture(red: int, green: int = 0) -> bytes:
    """A PNG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (red, green, 10)).save(file, "PNG")
    return file.getvalue()


def user(url: str | None, text: str) -> JsonObject:
    parts: list[JsonObject] = [{"type": "text", "text": text}]
    if url is not None:
        parts.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": parts}


def training_file(path: Path, store: ImageStore, num_records: int = 24) -> Path:
    """Lines about pictures of different reds, two turns each."""
    lines = []
    for number in range(num_records):
        url = "comd-image:" + store.put(picture(number * 10))
        messages = [
            user(url, "what red is it?"),
            {"role": "assistant", "content": str(number * 10)},
            {"role": "user", "content": "and green?"},
            {"role": "assistant", "content": "none"},
        ]
        lines.append(json.dumps({"id": str(number), "messages": messages}))
    path.write_text("\n".join(lines) + "\n")
    return path
