"""Very small models with random weights, one of each supported family, with processor and chat template in
the form that the family uses. In: a family's name and a folder. Out: the folder, as `save_pretrained` leaves it.
"""

import json
from pathlib import Path

from tests.family_parts import BUILDERS

FAMILIES: tuple[str, ...] = tuple(BUILDERS)
VIDEO = {  # the video processor that goes with the family's own; never run here, but it is in the files
    "llava_onevision": "LlavaOnevision",
    "qwen2_5_vl": "Qwen2VL",
    "qwen3_vl": "Qwen3VL",
    "smolvlm": "SmolVLM",
    "internvl": "InternVL",
}


def make_family(name: str, folder: Path, seed: int = 0) -> Path:
    """Save a model of the family and its processor into `folder`."""
    import torch
    from transformers import AutoModelForImageTextToText, GenerationConfig

    config, processor, stops = BUILDERS[name]()
    tokenizer = processor.tokenizer
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():  # Gemma's projector: pictures would not be seen
            torch.nn.init.normal_(parameter, std=0.2)
    ends = tokenizer.convert_tokens_to_ids([tokenizer.eos_token, *stops])
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if name in VIDEO:
        about = {"video_processor_type": f"{VIDEO[name]}VideoProcessor"}
        (folder / "video_preprocessor_config.json").write_text(json.dumps(about))
    return folder
