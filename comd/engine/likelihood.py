"""How likely a prompt is, token by token. In: a loaded model and a row. Out: vLLM's `prompt_logprobs`."""

import torch

from comd.engine.generate import model_inputs
from comd.engine.model import LoadedModel, Row
from shared.types import JsonObject

LEAST = -9999.0  # in the place of minus infinity, which JSON does not have; vLLM's choice


def prompt_logprobs(loaded: LoadedModel, row: Row) -> list[JsonObject | None]:
    """None for the first token, then each token's log-probability behind all that stand before it.

    One pass over the prompt alone: it has no batch mates that could change a digit. The places of a picture count as
    tokens.
    """
    ids = torch.tensor([row.prompt])  # (1, T)
    with torch.inference_mode():
        made = loaded.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            use_cache=False,
            **model_inputs(loaded, [row], ids),
        )
        logits = made.logits[0, :-1].float()  # (T - 1, V)
        own = logits.gather(1, ids[0, 1:, None])  # (T - 1, 1)
        logprobs = (own[:, 0] - logits.logsumexp(1)).clamp(min=LEAST).tolist()
        ranks = (logits >= own).sum(1).tolist()
    tokenizer = loaded.renderer.tokenizer
    return [
        None,
        *(
            {str(token): {"logprob": logprob, "rank": rank, "decoded_token": tokenizer.decode([token])}}
            for token, logprob, rank in zip(row.prompt[1:], logprobs, ranks, strict=True)
        ),
    ]
