"""Training in plain PyTorch: what the trainer's program is measured against.

In: the plan of a job whose records are prepared. Out: the loss of each step. The same model, examples, collator, order
of batches, optimizer, schedule and clipping; no transformers Trainer, no DeepSpeed, no progress, nothing to go on from.
"""

import math
from collections.abc import Callable, Iterator

import torch
from transformers import AutoProcessor, get_cosine_schedule_with_warmup, set_seed

from comd.engine.pictures import Pictures
from services.trainer.plan import Plan
from services.trainer.training.collator import Collator
from services.trainer.training.order import epoch_order
from services.trainer.training.prepared import Examples
from services.trainer.training.student import load_student
from shared.images import ImageStore


def train(plan: Plan, begin: Callable[[], None], step: Callable[[], None]) -> list[float]:
    """One process on the CPU. `begin` is called before the first step, `step` after each."""
    torch.set_num_threads(plan.devices.threads)
    set_seed(plan.seed)
    given, examples = plan.hyperparameters, Examples(plan.prepared)
    steps = given.n_epochs * math.ceil(len(examples) / given.batch_size)
    processor = AutoProcessor.from_pretrained(plan.model)
    collate = Collator(Pictures(processor, ImageStore(plan.image_store)), processor.tokenizer.pad_token_id)
    model = load_student(plan)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=plan.learning_rate, weight_decay=0.0)
    warmup = math.ceil(given.warmup_ratio * steps)
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, steps)
    model.train()
    losses = []
    begin()
    for indices in _batches(plan, examples):
        loss = model(**collate([examples[at] for at in indices])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        step()
    return losses


def _batches(plan: Plan, examples: Examples) -> Iterator[list[int]]:
    size = plan.hyperparameters.batch_size
    for epoch in range(plan.hyperparameters.n_epochs):
        order = epoch_order(examples.lengths, size, plan.seed, epoch)
        for start in range(0, len(order), size):
            yield order[start : start + size]
