"""Students with random weights, made on the spot, from a demo's size to that of LLaVA-1.5 7B.

In: a geometry and a folder. Out: a saved LlavaForConditionalGeneration with its processor, whose tokens are characters.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "<s>", "</s>", "<image>", "<unk>")
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A:{% generation %}"
    "{{ m['content'][0]['text'] }}{{ eos_token }}{% endgeneration %}{% else %}{{ m['role'][0] }}:"
    "{% for p in m['content'] %}{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
)


@dataclass(frozen=True)
class Geometry:
    """Sizes of the Llama part, then of the CLIP part."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    max_length: int
    vision_hidden: int
    vision_layers: int
    vision_heads: int
    vision_intermediate: int
    image_size: int
    patch_size: int

    @property
    def image_tokens(self) -> int:
        """Tokens of a picture in the dialogue: its patches."""
        return (self.image_size // self.patch_size) ** 2


TINY = Geometry(64, 2, 2, 128, 128, 512, 32, 2, 2, 64, 64, 32)
DEMO = Geometry(128, 2, 4, 384, 128, 512, 128, 2, 4, 256, 64, 32)
DEMO_TIMES_13 = Geometry(512, 4, 8, 1376, 128, 512, 256, 2, 8, 512, 64, 32)
LLAVA_7B = Geometry(4096, 32, 32, 11008, 32064, 4096, 1024, 24, 16, 4096, 336, 14)


def make(folder: Path, geometry: Geometry, dtype: str = "float32", device: str = "cpu") -> Path:
    """The student of seed 0, saved; LLaVA's own choice of the last layer but one where the tower is deep."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    g = geometry
    vision = CLIPVisionConfig(
        hidden_size=g.vision_hidden,
        intermediate_size=g.vision_intermediate,
        num_hidden_layers=g.vision_layers,
        num_attention_heads=g.vision_heads,
        image_size=g.image_size,
        patch_size=g.patch_size,
    )
    text = LlamaConfig(
        hidden_size=g.hidden,
        intermediate_size=g.intermediate,
        num_hidden_layers=g.layers,
        num_attention_heads=g.heads,
        num_key_value_heads=g.heads,
        vocab_size=g.vocabulary,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        max_position_embeddings=g.max_length,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=SPECIAL.index("<image>"),
        image_seq_length=g.image_tokens,
        vision_feature_layer=-2 if g.vision_layers > 2 else -1,
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = LlavaForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(default)
    model.save_pretrained(folder)
    processor(g).save_pretrained(folder)
    return folder


def processor(geometry: Geometry) -> Any:
    """A LlavaProcessor: every character a token, a picture as many as it has patches."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = [*SPECIAL, *map(chr, range(32, 127))]
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
    side = {"height": geometry.image_size, "width": geometry.image_size}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=side, crop_size=side, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=geometry.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]), LLAVA_7B if sys.argv[2] == "llava-7b" else TINY, "bfloat16", sys.argv[3])
