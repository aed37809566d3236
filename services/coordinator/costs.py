"""What calls cost, and what a task may cost before it is done. Pure.

Money is counted in whole billionths of the run's currency ("nanos"): integers add up without drift, and a
call's rounding, half a billionth at most, is a fifth of a cent after four million calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.coordinator.run_config import Price
from shared.types import JsonObject, Usage

NANOS = 1_000_000_000
NANOS_PER_MILLIONTH = 1_000
MEAN_FROM = 10  # items; a mean of fewer says little, and the first to come back are the short ones
MARGIN = 2.0  # a task may cost twice what the mean of its items says
PICTURE_TOKENS = 4096  # more than LLaVA's 576 and LLaVA-NeXT's 2,880
FIXED_TOKENS = 1024  # system prompt and criteria of any role
# engine calls for one item at most, and how many times `max_tokens` their replies may have in all
MOST_CALLS = {"teacher": (2, 3), "student": (1, 1), "assessor": (6, 6), "augmentor": (3, 3)}


@dataclass(frozen=True)
class Demand:
    """What a task asks of one role: so many items, with so many characters of text between them."""

    role: str
    items: int
    characters: int
    max_tokens: int


def cost_nanos(usage: Usage, price: Price | None) -> int:
    """The cost of calls at a price of a million tokens; cached tokens are part of the prompt's."""
    if price is None:
        return 0
    cached_price = price.prompt if price.cached is None else price.cached
    fresh = max(usage.prompt_tokens - usage.cached_tokens, 0)
    millionths = fresh * price.prompt + usage.cached_tokens * cached_price
    return round(NANOS_PER_MILLIONTH * (millionths + usage.completion_tokens * price.completion))


def in_currency(nanos: int) -> float:
    """An amount as people read it."""
    return nanos / NANOS


def in_nanos(amount: float) -> int:
    return round(amount * NANOS)


def estimate_nanos(
    demands: Sequence[Demand], prices: Mapping[str, Price], totals: Mapping[str, JsonObject]
) -> int:
    """What a task may cost: twice the run's mean so far, or the most that it could be before there is one.

    `totals` are the run's sums by role. Means are of tokens, so that a changed price counts at once.
    """
    priced = [demand for demand in demands if demand.role in prices]
    return sum(_demand_nanos(demand, prices[demand.role], totals.get(demand.role)) for demand in priced)


def _demand_nanos(demand: Demand, price: Price, total: JsonObject | None) -> int:
    if total is not None and total["items"] >= MEAN_FROM:
        used = Usage.model_validate({name: total[name] for name in Usage.model_fields})
        return round(MARGIN * demand.items * cost_nanos(used, price) / int(total["items"]))
    return cost_nanos(most(demand), price)


def most(demand: Demand) -> Usage:
    """An upper estimate: a token a character, every retry needed, every reply as long as it may be."""
    calls, lengths = MOST_CALLS[demand.role]
    prompt = demand.items * (PICTURE_TOKENS + FIXED_TOKENS) + demand.characters
    return Usage(
        prompt_tokens=calls * prompt,
        completion_tokens=lengths * demand.items * demand.max_tokens,
        calls=calls * demand.items,
    )
