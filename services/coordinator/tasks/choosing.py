"""Choosing by likelihood: of a question's choices the one whose words the model finds likeliest.

In: a question with its choices. Out: each choice's mean negative log-likelihood, and the choice with the lowest.
"""

import orjson

from services.coordinator.benchmarks.likelihood import best
from services.coordinator.clients import Answer
from services.coordinator.committer import Rows
from services.coordinator.tasks.work import Request, Tools, Work
from services.coordinator.tested import likelihoods
from shared.types import JsonObject


async def likeliest(
    work: Work, tools: Tools, asked: Request, known: dict[str, JsonObject]
) -> tuple[JsonObject, Rows]:
    """The result's fields, and the row to keep where it is new: the answer's text are the losses."""
    assert work.measured is not None, "a task of this phase belongs to an evaluation"
    if stored := known.get(asked.hash):
        return _chosen(orjson.loads(stored["text"])), {}
    where, choices = work.measured.where, asked.sampling["choices"]
    found, usage = await tools.ask(
        work,
        where.service,
        lambda: likelihoods(tools.services, where, asked.image, asked.text, choices, asked.seed),
    )
    work.note_call("tested", asked.identity.revision, usage)
    losses = [one.mean_nll for one in found]
    answer = Answer(orjson.dumps(losses).decode(), "stop", usage)
    return _chosen(losses), {"answers": [asked.row(answer)]}


def _chosen(losses: list[float]) -> JsonObject:
    return {"likelihoods": losses, "prediction": best(losses)}
