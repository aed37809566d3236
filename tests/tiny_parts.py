"""Parts of tiny students as model folders hold them: language models with tokenizers trained on generated
text, and vision towers with random weights.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file

SIDE, PATCH = 64, 32
_SYLLABLES = ("ka", "lo", "mi", "ré", "ün", "sho", "ta", "vor", "ße", "紅", "色", "да", "🙂", "nix")
_WORDING = "USER: ASSISTANT: A chat between a human and an assistant. system user assistant two red squares"


def text(num_lines: int = 400, seed: int = 0) -> Iterator[str]:
    """Made-up words in several scripts, and the words of the templates."""
    draw = Random(seed)
    for _ in range(num_lines):
        words = ["".join(draw.choices(_SYLLABLES, k=draw.randint(1, 4))) for _ in range(8)]
        yield f"{_WORDING} {' '.join(words)}{draw.choice('.,?!')} {draw.randint(0, 99)}\n\n  {words[0]}"


def metaspace_tokenizer(size: int = 600, over_blanks: bool = False) -> Any:
    """As Llama's: blanks belong to the next word, unknown characters fall back to bytes, no padding token.

    `over_blanks` lets it learn merges of a word's end with the blank after it, which Llama's has not.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaTokenizer

    raw = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=not over_blanks)
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    special = ["<unk>", "<s>", "</s>", *bytes_]
    raw.train_from_iterator(
        text(), trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    )
    model = json.loads(raw.to_str())["model"]
    return LlamaTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])


def byte_tokenizer(size: int = 600, special: tuple[str, ...] = ("<s>", "</s>")) -> Any:
    """As GPT-2's and Llama 3's: bytes merged within words. The last of `special` is the stop token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        text(), trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    raw.add_special_tokens(list(special))
    named: dict[str, Any] = {"bos_token": "<s>"} if "<s>" in special else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=special[-1], extra_special_tokens=list(special), **named
    )


def chatml_tokenizer(size: int = 600) -> Any:
    """As a Qwen2 base model's: ChatML's tokens are there, but the stop and padding token ends documents."""
    made = byte_tokenizer(size, ("<|im_start|>", "<|im_end|>", "<|endoftext|>"))
    made.pad_token = "<|endoftext|>"
    made.chat_template = {"default": "without generation blocks", "tool_use": "another"}
    return made


def llama(folder: Path, tokenizer: Any | None = None, hidden: int = 64, **options: Any) -> Path:
    """A tiny Llama of as many rows as its tokenizer has tokens, with Vicuna's odd generation settings."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tokenizer or metaspace_tokenizer()
    torch.manual_seed(1)
    config = LlamaConfig(**_shape(tokenizer, hidden), num_key_value_heads=2, **options)
    LlamaForCausalLM(config).save_pretrained(folder)
    settings = {"bos_token_id": 1, "eos_token_id": 2, "temperature": 0.9, "top_p": 0.6}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    tokenizer.save_pretrained(folder)
    return folder


def qwen(folder: Path, hidden: int = 64) -> Path:
    """A tiny Qwen2 with tied embeddings and spare rows, as the real ones have."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = chatml_tokenizer()
    torch.manual_seed(2)
    shape = {**_shape(tokenizer, hidden), "vocab_size": len(tokenizer) + 30, "bos_token_id": None}
    model = Qwen2ForCausalLM(Qwen2Config(**shape, num_key_value_heads=2, tie_word_embeddings=True))
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def clip(folder: Path, hidden: int = 32, whole: bool = True) -> Path:
    """A tiny CLIP: both towers as published (whole), or the vision tower alone."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig, CLIPVisionModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(3)
    shape = {"hidden_size": hidden, "intermediate_size": 64, "num_attention_heads": 2, "projection_dim": 16}
    vision = CLIPVisionConfig(**shape, num_hidden_layers=2, image_size=SIDE, patch_size=PATCH)
    words = CLIPTextConfig(**shape, num_hidden_layers=1, vocab_size=50, bos_token_id=1, eos_token_id=2)
    both = CLIPConfig(text_config=words.to_dict(), vision_config=vision.to_dict(), projection_dim=16)
    (CLIPModel(both) if whole else CLIPVisionModel(vision)).save_pretrained(folder)
    crop = {"height": SIDE, "width": SIDE}
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=crop).save_pretrained(folder)
    return folder


def siglip(folder: Path) -> Path:
    from transformers import SiglipVisionConfig, SiglipVisionModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    torch.manual_seed(4)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2}
    SiglipVisionModel(SiglipVisionConfig(**shape, image_size=SIDE, patch_size=PATCH)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def _shape(tokenizer: Any, hidden: int) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def num_tokens(folder: Path) -> int:
    """How many ids the tokenizer in a folder knows."""
    from transformers import AutoTokenizer

    return len(AutoTokenizer.from_pretrained(folder))


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def as_pickle(folder: Path, to: Path, sharded: bool) -> Path:
    """The model of a folder with its weights in the old form: one pickle, or two and an index."""
    copy(folder, to)
    weights = load_file(to / "model.safetensors")
    (to / "model.safetensors").unlink()
    if not sharded:
        torch.save(weights, to / "pytorch_model.bin")
        return to
    places = {name: f"pytorch_model-0000{at % 2 + 1}-of-00002.bin" for at, name in enumerate(weights)}
    for file in set(places.values()):
        torch.save({name: weights[name] for name in weights if places[name] == file}, to / file)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (to / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return to
