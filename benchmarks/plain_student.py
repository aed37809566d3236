"""The demo student in plain PyTorch: the same dialogues, loss, optimiser and schedule as the trainer's, no services.

In: records (one picture, its questions and answers). Out: a trained model, and its answers.
"""

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from comd.student_base.vocabulary import ASSISTANT, END, IMAGE, USER

NUM_IMAGE_TOKENS = 4
WARMUP_RATIO = 0.03
IGNORED = -100

Turns = list[tuple[str, str]]


@dataclass(frozen=True)
class Record:
    """One picture (a row of the pixels) and its dialogue."""

    picture: int
    turns: Turns


class PlainStudent:
    """A model with its tokenizer and the pixels of all pictures that it will be shown."""

    def __init__(
        self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, pixels: Tensor
    ) -> None:
        self.model, self.tokenizer, self.pixels = model, tokenizer, pixels
        self.ids = {token: tokenizer.convert_tokens_to_ids(token) for token in (ASSISTANT, END, IMAGE)}
        model.model.vision_tower.requires_grad_(False)

    def train(
        self,
        records: list[Record],
        *,
        epochs: int,
        batch: int,
        learning_rate: float,
        seed: int,
        projector_only: bool,
    ) -> float:
        """AdamW from fresh, cosine with warm-up, the tower frozen; gives back the mean loss of the last epoch."""
        language = [self.model.model.language_model, self.model.lm_head]
        for module in language:
            module.requires_grad_(not projector_only)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)
        steps_per_epoch = math.ceil(len(records) / batch)
        total = steps_per_epoch * epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step, total))
        rng = Random(seed)
        losses: list[float] = []
        self.model.train()
        for _ in range(epochs):
            order = rng.sample(records, len(records))
            for start in range(0, len(order), batch):
                loss = self.model(**self._batch(order[start : start + batch], rng)).loss
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                losses.append(float(loss.detach()))
        return sum(losses[-steps_per_epoch:]) / steps_per_epoch

    def _batch(self, records: list[Record], rng: Random) -> dict[str, Tensor]:
        texts = [_dialogue(record.turns, image_first=rng.random() < 0.5) for record in records]
        encoded = self.tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
        labels = self._labels(encoded["input_ids"])
        pixels = self.pixels[[record.picture for record in records]]
        return {
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "labels": labels,
            "pixel_values": pixels,
        }

    def _labels(self, ids: Tensor) -> Tensor:
        """The answers and their stop tokens: what stands after each assistant token up to the end token."""
        opened = (ids == self.ids[ASSISTANT]).cumsum(1)
        closed = (ids == self.ids[END]).cumsum(1)
        before_closing = closed - (ids == self.ids[END]).long()
        inside = (opened > before_closing) & (ids != self.ids[ASSISTANT])
        return torch.where(inside, ids, IGNORED)

    @torch.inference_mode()
    def answer(
        self, asked: list[tuple[int, str]], *, temperature: float, seed: int, batch: int = 512
    ) -> list[str]:
        """One answer for each (picture, question), the image first; temperature 0 is greedy."""
        self.model.eval()
        torch.manual_seed(seed)
        order = sorted(range(len(asked)), key=lambda n: len(asked[n][1]))
        answers = [""] * len(asked)
        for start in range(0, len(order), batch):
            numbers = order[start : start + batch]
            texts = [_prompt(asked[n][1]) for n in numbers]
            encoded = self.tokenizer(texts, padding=True, return_tensors="pt")
            out = self.model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                pixel_values=self.pixels[[asked[n][0] for n in numbers]],
                do_sample=temperature > 0,
                **({"temperature": temperature, "top_k": 0} if temperature > 0 else {}),
            )
            said = self.tokenizer.batch_decode(
                out[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True
            )
            for n, text in zip(numbers, said, strict=True):
                answers[n] = text
        return answers


def _cosine(step: int, total: int) -> float:
    warmup = max(1, math.ceil(WARMUP_RATIO * total))
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _dialogue(turns: Turns, *, image_first: bool) -> str:
    image = IMAGE * NUM_IMAGE_TOKENS
    parts = []
    for number, (question, answer) in enumerate(turns):
        shown = image if number == 0 else ""
        asked = f"{shown}{question}" if image_first else f"{question}{shown}"
        parts.append(f"{USER}{asked}{ASSISTANT}{answer}{END}")
    return "".join(parts)


def _prompt(question: str) -> str:
    return f"{USER}{IMAGE * NUM_IMAGE_TOKENS}{question}{ASSISTANT}"
