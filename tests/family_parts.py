"""The parts of a very small model of each family: its configuration, processor, and further stop tokens."""

from collections.abc import Callable
from typing import Any

from comd.engine.processor import without_video
from tests import chat_templates
from tests.chat_templates import chatml

Parts = tuple[Any, Any, tuple[str, ...]]
WORDS = "what is in the picture answer yes no red green left of a user assistant system model"
PINPOINTS = [[32, 64], [64, 32], [64, 64]]
SQUARE = {"height": 32, "width": 32}
SPREAD = {"initializer_range": 0.2}  # at this width, less makes a model say one token whatever it sees
VISION = {
    **SPREAD,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
}
FINE = {**VISION, "patch_size": 8}
CLIP = {**VISION, "model_type": "clip_vision_model"}
SIGLIP = {**FINE, "model_type": "siglip_vision_model", "vision_use_head": False}
QWEN_VISION = {
    **SPREAD,
    **SPREAD,
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "patch_size": 8,
    "out_hidden_size": 32,
}
QWEN_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
TILES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]


def tokenizer_of(end: str, tokens: dict[str, str], more: tuple[str, ...] = ()) -> Any:
    """Bytes and a few merges, so that any text can be said; `tokens` by the names that the processor uses."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = list(dict.fromkeys(["<pad>", "<s>", end, *tokens.values(), *more]))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    size = len(special) + len(alphabet) + 40
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    raw.train_from_iterator([f"{WORDS} {WORDS}\n\n"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token=end,
        pad_token="<pad>",
        extra_special_tokens=tokens,
        model_input_names=["input_ids", "attention_mask"],
    )


def language(tokenizer: Any, model_type: str, **more: Any) -> dict[str, Any]:
    """A text model of two layers."""
    return {
        **SPREAD,
        "model_type": model_type,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def processor_of(name: str, images: Any, tokenizer: Any, template: str, **options: Any) -> Any:
    import transformers

    kind = getattr(transformers, f"{name}Processor")
    if "video_processor" in kind.get_attributes():
        kind, options["video_processor"] = without_video(kind), None
    return kind(image_processor=images, tokenizer=tokenizer, chat_template=template, **options)


def llava() -> Parts:
    from transformers import CLIPImageProcessorPil, LlavaConfig

    tokenizer = tokenizer_of("</s>", {"image_token": "<image>"})
    config = LlavaConfig(
        vision_config=CLIP,
        text_config=language(tokenizer, "llama"),
        image_token_id=tokenizer.image_token_id,
        image_seq_length=4,
    )
    images = CLIPImageProcessorPil(size=SQUARE, crop_size=SQUARE, do_center_crop=False)
    options = {
        "patch_size": 16,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return config, processor_of("Llava", images, tokenizer, chat_templates.VICUNA, **options), ()


def llava_next() -> Parts:
    from transformers import LlavaNextConfig, LlavaNextImageProcessorPil

    tokenizer = tokenizer_of("</s>", {"image_token": "<image>"})
    config = LlavaNextConfig(
        vision_config=CLIP,
        text_config=language(tokenizer, "mistral", head_dim=16),
        image_token_id=tokenizer.image_token_id,
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=4,
    )
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=SQUARE, image_grid_pinpoints=PINPOINTS
    )
    options = {
        "patch_size": 16,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return config, processor_of("LlavaNext", images, tokenizer, chat_templates.MISTRAL, **options), ()


def llava_onevision() -> Parts:
    from transformers import LlavaOnevisionConfig, LlavaOnevisionImageProcessorPil

    tokenizer = tokenizer_of("<|im_end|>", {"image_token": "<image>", "video_token": "<video>"}, CHATML)
    config = LlavaOnevisionConfig(
        vision_config={**SIGLIP, "patch_size": 16},
        text_config=language(tokenizer, "qwen2"),
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        image_grid_pinpoints=PINPOINTS,
        vision_aspect_ratio="anyres_max_9",
    )
    images = LlavaOnevisionImageProcessorPil(size=SQUARE, image_grid_pinpoints=PINPOINTS)
    options = {"num_image_tokens": 4, "vision_feature_select_strategy": "full"}
    template = chatml("<image>\n", chat_templates.PICTURES_FIRST)
    return config, processor_of("LlavaOnevision", images, tokenizer, template, **options), ()


def qwen2_5_vl() -> Parts:
    from transformers import Qwen2_5_VLConfig, Qwen2VLImageProcessorPil

    tokenizer = tokenizer_of("<|im_end|>", QWEN_TOKENS, CHATML)
    config = Qwen2_5_VLConfig(
        vision_config={**QWEN_VISION, "window_size": 32, "fullatt_block_indexes": [1]},
        text_config=language(tokenizer, "qwen2_5_vl_text", rope_parameters=mrope()),
        **token_ids(tokenizer),
    )
    images = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 256, "longest_edge": 4096}
    )
    template = chatml(QWEN_PICTURE, system="You are a helpful assistant.")
    return config, processor_of("Qwen2_5_VL", images, tokenizer, template), ("<|endoftext|>",)


def qwen3_vl() -> Parts:
    from transformers import Qwen2VLImageProcessorPil, Qwen3VLConfig

    tokenizer = tokenizer_of("<|im_end|>", QWEN_TOKENS, CHATML)
    config = Qwen3VLConfig(
        vision_config={**QWEN_VISION, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]},
        text_config=language(
            tokenizer, "qwen3_vl_text", head_dim=16, rope_parameters={**mrope(), "mrope_interleaved": True}
        ),
        tie_word_embeddings=True,
        **token_ids(tokenizer),
    )
    images = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 256, "longest_edge": 4096}
    )
    template = chatml(QWEN_PICTURE)
    return config, processor_of("Qwen3VL", images, tokenizer, template), ("<|endoftext|>",)


def idefics3() -> Parts:
    return idefics("Idefics3", "<|end_of_text|>", {}, ("<end_of_utterance>",))


def smolvlm() -> Parts:
    tokens = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    return idefics("SmolVLM", "<end_of_utterance>", tokens, ())


def idefics(name: str, end: str, tokens: dict[str, str], stops: tuple[str, ...]) -> Parts:
    """SmolVLM is Idefics3 with another tokenizer."""
    import transformers

    more = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *TILES)
    tokenizer = tokenizer_of(end, tokens, more)
    config = getattr(transformers, f"{name}Config")(
        vision_config=FINE,
        text_config=language(tokenizer, "llama"),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    images = getattr(transformers, f"{name}ImageProcessorPil")(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    made = processor_of(name, images, tokenizer, chat_templates.UTTERANCES, image_seq_len=4)
    return config, made, stops


def internvl() -> Parts:
    from transformers import GotOcr2ImageProcessorPil, InternVLConfig

    tokens = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = tokenizer_of("<|im_end|>", tokens, CHATML)
    config = InternVLConfig(
        vision_config={**FINE, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config=language(tokenizer, "qwen2"),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
    )
    images = GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, max_patches=4)
    template = chatml("<IMG_CONTEXT>\n")
    return config, processor_of("InternVL", images, tokenizer, template, image_seq_length=4), ()


def gemma3() -> Parts:
    from transformers import Gemma3Config, Gemma3ImageProcessorPil

    tokens = {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
    }
    tokenizer = tokenizer_of("<eos>", tokens, ("<start_of_turn>", "<end_of_turn>"))
    config = Gemma3Config(
        vision_config=SIGLIP,
        text_config=language(
            tokenizer,
            "gemma3_text",
            num_hidden_layers=4,  # two, under its scaled and tied embeddings, only repeat the last token
            head_dim=16,
            sliding_window=16,
            sliding_window_pattern=2,
        ),
        image_token_id=tokenizer.image_token_id,
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        mm_tokens_per_image=4,
    )
    images = Gemma3ImageProcessorPil(size=SQUARE)
    made = processor_of("Gemma3", images, tokenizer, chat_templates.GEMMA, image_seq_length=4)
    return config, made, ("<end_of_turn>",)


CHATML = ("<|im_start|>", "<|endoftext|>")


def mrope() -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]}


def token_ids(tokenizer: Any) -> dict[str, int]:
    return {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in QWEN_TOKENS.items()}


BUILDERS: dict[str, Callable[[], Parts]] = {
    made.__name__: made
    for made in (
        llava,
        llava_next,
        llava_onevision,
        qwen2_5_vl,
        qwen3_vl,
        idefics3,
        smolvlm,
        internvl,
        gemma3,
    )
}
