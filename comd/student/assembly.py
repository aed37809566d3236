"""Puts the parts together. In: language model, tower, tokenizer, image processor. Out: model and processor.

The modules themselves are handed over, so that no weight is in memory twice.
"""

from typing import Any

import torch

from comd.student import projector
from comd.student.vocabulary import IMAGE
from shared.errors import ConfigError


def student(llm: Any, tower: Any, tokenizer: Any, kind: str, seed: int) -> Any:
    """A LlavaForConditionalGeneration of these very modules, and a projector made by the seed."""
    from transformers import LlavaForConditionalGeneration
    from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

    config = _config(llm, tower, tokenizer, kind)
    with torch.device("meta"):  # the shape alone
        model = LlavaForConditionalGeneration(config)
    head = llm.get_output_embeddings()
    if (
        type(llm.base_model) is not type(model.model.language_model)
        or getattr(head, "bias", None) is not None
    ):
        raise ConfigError(f"{type(llm).__name__} does not fit into the LLaVA form; take a Llama-like model")
    made = LlavaMultiModalProjector(config)
    projector.fill(made, kind, seed)
    model.model.language_model, model.lm_head = llm.base_model, head
    model.model.vision_tower = tower
    model.model.multi_modal_projector = made.to(llm.dtype)
    model.generation_config = _generation(llm, tokenizer)
    return model.eval()


def processor(tower: Any, tokenizer: Any, images: Any, template: str) -> Any:
    """Tokenizer, picture preparation and chat template as one."""
    from transformers import LlavaProcessor

    tokenizer.chat_template = template
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=tower.config.patch_size,
        vision_feature_select_strategy=_strategy(tower),
        num_additional_image_tokens=_num_class_tokens(tower),
        chat_template=template,
        image_token=IMAGE,
    )


def image_tokens(tower: Any) -> int:
    """Patches of a picture: one token each."""
    return int(tower.config.image_size // tower.config.patch_size) ** 2


def _config(llm: Any, tower: Any, tokenizer: Any, kind: str) -> Any:
    from transformers import LlavaConfig

    text, vision = llm.config, tower.config
    text.pad_token_id = tokenizer.pad_token_id
    text._name_or_path = vision._name_or_path = ""  # where the parts lay is no part of the student
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=image_tokens(tower),
        vision_feature_layer=-2,  # LLaVA's
        vision_feature_select_strategy=_strategy(tower),
        **projector.settings(kind, vision.hidden_size, text.hidden_size),
    )


def _num_class_tokens(tower: Any) -> int:
    """CLIP puts a class token before the patches, SigLIP none."""
    return int(hasattr(tower.embeddings, "class_embedding"))


def _strategy(tower: Any) -> str:
    """`default` drops the class token; where there is none it would drop a patch."""
    return "default" if _num_class_tokens(tower) else "full"


def _generation(llm: Any, tokenizer: Any) -> Any:
    """The stop ids of the language model and ours. Its sampling is left out: that is the caller's, and some
    (Vicuna's) set a temperature without sampling, which transformers refuses to save."""
    from transformers import GenerationConfig

    before = llm.generation_config.eos_token_id
    before = before if isinstance(before, list) else [before]
    stops = list(dict.fromkeys([tokenizer.eos_token_id, *(stop for stop in before if stop is not None)]))
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=stops[0] if len(stops) == 1 else stops,
        pad_token_id=tokenizer.pad_token_id,
    )
