"""The canary's known answers. In: the student as published, in plain transformers, and questions of its
training file. Out: probes that any engine with the same weights must answer alike.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from comd.engine.dialogue import parse
from comd.engine.model import LoadedModel
from comd.engine.pictures import Picture, stack
from services.trainer.chat import Record, parse_line
from services.trainer.serving.probes import Probe
from shared.types import JsonObject

MAX_PROBES = 8
MAX_TOKENS = 16
# By dtype: an answer is cut before the first token whose two best logits are closer than the first number,
# since kernels that round differently may choose either; the mean log-probability of what is left may be off by
# the second. Measured on a tiny student, transformers against vLLM on a CPU, 24 answers: equal weights differed
# by at most 1.2e-6 (float32) and 1.9e-2 (bfloat16), weights of three small steps later by at least 1.9e-3 (float32).
MARGIN_AND_TOLERANCE = {
    torch.float32: (0.01, 5e-4),
    torch.float16: (0.1, 2e-2),
    torch.bfloat16: (0.5, 5e-2),
}


def canary_prompts(training_file: Path, limit: int = MAX_PROBES) -> list[list[JsonObject]]:
    """The first questions of evenly spread lines of a training file, each with its picture."""
    with training_file.open("rb") as file:
        lines = [(number, raw) for number, raw in enumerate(file, 1) if raw.strip()]
    count = min(limit, len(lines))
    chosen = [lines[at * len(lines) // count] for at in range(count)]
    return [_prompt(parse_line(raw, number)) for number, raw in chosen]


def make_canary(loaded: LoadedModel, prompts: Sequence[list[JsonObject]]) -> list[Probe]:
    """Greedy answers to the first `MAX_PROBES` prompts, but for those too long, or that begin with a near-tie."""
    probes = [_probe(loaded, messages) for messages in prompts[:MAX_PROBES]]
    return [probe for probe in probes if probe is not None]


def _prompt(record: Record) -> list[JsonObject]:
    content: list[JsonObject] = [{"type": "text", "text": record.turns[0].question}]
    if record.image is not None:
        content.insert(0, {"type": "image_url", "image_url": {"url": record.image}})
    system = [{"role": "system", "content": record.system}] if record.system is not None else []
    return [*system, {"role": "user", "content": content}]


def _probe(loaded: LoadedModel, messages: list[JsonObject]) -> Probe | None:
    margin, tolerance = MARGIN_AND_TOLERANCE[loaded.model.dtype]
    parsed = parse(messages)
    pictures = [loaded.pictures.get(url) for url in parsed.image_urls]
    prompt = loaded.renderer.prompt(parsed.messages, pictures)
    if len(prompt) + MAX_TOKENS > loaded.max_length:
        return None
    logits = _greedy_logits(loaded, prompt, pictures)  # (T, V)
    best = logits.topk(2, dim=-1).values  # (T, 2)
    close = (best[:, 0] - best[:, 1] < margin).tolist()
    tokens = logits.argmax(-1).tolist()
    sure = close.index(True) if True in close else len(tokens)
    ended = sure > 0 and tokens[sure - 1] in loaded.stop_ids
    num_tokens = sure - int(ended)
    if not sure:
        return None
    chosen = logits.log_softmax(-1).gather(1, logits.argmax(-1, keepdim=True))[:num_tokens]
    text = str(loaded.renderer.tokenizer.decode(tokens[:num_tokens], skip_special_tokens=True))
    mean = float(chosen.mean()) if num_tokens else None
    # A character cut in its middle is decoded as a replacement character.
    return Probe(messages, text.split("\ufffd")[0], num_tokens, ended, mean, tolerance)


def _greedy_logits(loaded: LoadedModel, prompt: list[int], pictures: list[Picture]) -> torch.Tensor:
    """The logits of each token of the greedy answer, stop token included: float32, (T, V)."""
    from transformers import GenerationConfig

    ids = torch.tensor([prompt])
    model: Any = loaded.model
    inputs = {
        name: tensor.to(model.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in stack(pictures).items()
    }
    with torch.inference_mode():
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **inputs,
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=MAX_TOKENS,
                pad_token_id=loaded.pad_id,
                eos_token_id=sorted(loaded.stop_ids),
                output_logits=True,
                return_dict_in_generate=True,
            ),
        )
    return torch.cat(made.logits).float()
