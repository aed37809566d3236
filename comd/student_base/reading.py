"""Pre-trains the language model to read: given four bags of words, it lists them, or says what lies beside a word.

In: a model with a fresh language model. Out: the same, able to look words up; it has seen no picture and no question.
At real size the language model comes pre-trained too, and stage 1 then fits the projector to what it reads.
"""

from random import Random

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from comd.student_base.vocabulary import ASSISTANT, END, PAD, USER, words
from comd.world.grammar import NOTHING
from comd.world.scene import COLOURS, PLACES, SHAPES, Scene, random_scene_of

NUM_STEPS = 180
BATCH = 64
LEARNING_RATE = 2e-3
NUM_TURNS = 3
LIST_SHARE = 0.25
BAGS_FIRST_SHARE = 0.6
_INITIAL_STD = 0.08
"""About 1 / sqrt(hidden size). With the usual 0.02, meant for wide models, attention starts all but uniform."""
_KEYS = {*COLOURS, *SHAPES, *PLACES, NOTHING}
_FILLERS = [word for word in words() if word not in _KEYS]
_IGNORED = -100

Bag = tuple[str, ...]


def teach_reading(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, seed: int
) -> float:
    """Trains the language model; gives back its mean loss over the last steps."""
    language = model.model.language_model
    parameters = [*language.parameters(), model.lm_head.weight]
    for weight in parameters:
        if weight.dim() == 2:
            nn.init.normal_(weight, std=_INITIAL_STD)
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=NUM_STEPS, pct_start=0.05
    )
    rng = Random(f"reading|{seed}")
    losses: list[float] = []
    for _ in range(NUM_STEPS):
        loss = _loss(
            model, tokenizer, [_exercise(random_scene_of(rng, heldout=False), rng) for _ in range(BATCH)]
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return sum(losses[-20:]) / 20


def _exercise(scene: Scene, rng: Random) -> list[Bag]:
    """A dialogue as bags: a word is a bag of one, a cell of the scene a bag of three."""
    bags = [_bag(scene, cell) for cell in range(len(PLACES))]
    if rng.random() < LIST_SHARE:
        listed = [(word,) for cell, bag in enumerate(bags) if scene[cell] for word in bag]
        return [(USER,), *bags, *_fillers(rng), (ASSISTANT,), *listed, (END,)]
    dialogue: list[Bag] = []
    for turn in range(NUM_TURNS):
        key, found = _lookup(bags, rng)
        asked = [*_fillers(rng), (key,), *_fillers(rng)]
        if turn == 0:
            asked = [*bags, *asked] if rng.random() < BAGS_FIRST_SHARE else [*asked, *bags]
        dialogue += [(USER,), *asked, (ASSISTANT,), *((word,) for word in found), (END,)]
    return dialogue


def _bag(scene: Scene, cell: int) -> Bag:
    thing = scene[cell]
    return (thing.colour, thing.shape, PLACES[cell]) if thing else (NOTHING, NOTHING, PLACES[cell])


def _lookup(bags: list[Bag], rng: Random) -> tuple[str, list[str]]:
    """A word that only one bag holds, and the other words of that bag."""
    every = [word for bag in bags for word in bag]
    unique = [(word, bag) for bag in bags for word in bag if NOTHING not in bag and every.count(word) == 1]
    word, bag = rng.choice(unique)
    return word, [other for other in bag if other != word]


def _fillers(rng: Random) -> list[Bag]:
    return [(rng.choice(_FILLERS),) for _ in range(rng.randint(0, 4))]


def _loss(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, dialogues: list[list[Bag]]
) -> Tensor:
    length = max(len(dialogue) for dialogue in dialogues)
    padded = [dialogue + [(PAD,)] * (length - len(dialogue)) for dialogue in dialogues]
    ids = torch.tensor([[_ids(tokenizer, bag) for bag in dialogue] for dialogue in padded])  # (B, T, 3)
    embedded = model.model.language_model.embed_tokens(ids)  # (B, T, 3, hidden)
    inputs = (embedded * (ids != tokenizer.pad_token_id).unsqueeze(-1)).sum(2)
    hidden = model.model.language_model(inputs_embeds=inputs).last_hidden_state
    targets = torch.tensor([_targets(tokenizer, dialogue) for dialogue in padded])  # (B, T)
    wanted = targets != _IGNORED
    return nn.functional.cross_entropy(model.lm_head(hidden[wanted]), targets[wanted])


def _targets(tokenizer: PreTrainedTokenizerFast, dialogue: list[Bag]) -> list[int]:
    """At each position the next word where it belongs to a reply or ends one."""
    targets, replying = [], False
    for here, after in zip(dialogue, [*dialogue[1:], (PAD,)], strict=True):
        replying = here == (ASSISTANT,) or (replying and here != (END,))
        targets.append(tokenizer.convert_tokens_to_ids(after[0]) if replying else _IGNORED)
    return targets


def _ids(tokenizer: PreTrainedTokenizerFast, bag: Bag) -> list[int]:
    return [tokenizer.convert_tokens_to_ids(word) for word in (*bag, PAD, PAD)[:3]]
