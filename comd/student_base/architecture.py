"""The shape of the demo student: CLIP tower, projector, Llama, each tiny.

In: a tokenizer. Out: a freshly initialised LlavaForConditionalGeneration and its image processor.
"""

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from comd.student_base.vocabulary import IMAGE
from comd.world.render import SIZE

HIDDEN = 128
HEAD_SIZE = 32
"""The smallest that the CPU attention of common engines accepts."""
PATCH = SIZE // 2
"""One patch for each cell of the grid: four image tokens."""
MAX_TOKENS = 512


def build(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """The model with fresh weights from torch's global generator."""
    vision = CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=HIDDEN // HEAD_SIZE,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=HIDDEN,
    )
    model = LlavaForConditionalGeneration(_config(vision, _language(tokenizer), tokenizer))
    # transformers' 0.02 drowns in the patches' scale and the tower then never learns which place is which.
    positions = model.model.vision_tower.embeddings.position_embedding.weight
    torch.nn.init.normal_(positions, std=1.0)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, max_new_tokens=16
    )
    return model


def image_processor() -> CLIPImageProcessorPil:
    """Scales any picture to the tower's size; by Pillow, so that torchvision is not needed."""
    side = {"height": SIZE, "width": SIZE}
    return CLIPImageProcessorPil(size=side, do_center_crop=False, crop_size=side)


def _language(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=HIDDEN // HEAD_SIZE,
        num_key_value_heads=HIDDEN // HEAD_SIZE,
        head_dim=HEAD_SIZE,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )


def _config(vision: CLIPVisionConfig, text: LlamaConfig, tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(SIZE // PATCH) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        pad_token_id=tokenizer.pad_token_id,
    )
