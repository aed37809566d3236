"""What calls cost to the billionth, and what tasks may cost before they are done."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.coordinator.costs import (
    MARGIN,
    MEAN_FROM,
    Demand,
    cost_nanos,
    estimate_nanos,
    in_currency,
    in_nanos,
    most,
)
from services.coordinator.run_config import Price, RunConfig
from shared.types import Usage

PRICE = Price(prompt=0.2, cached=0.05, completion=0.6)
USED = Usage(prompt_tokens=1000, cached_tokens=400, completion_tokens=50, calls=1)
ONE = Demand("teacher", items=2, characters=100, max_tokens=512)


@pytest.mark.parametrize(
    ("price", "nanos"),
    [
        (None, 0),
        (PRICE, 600 * 200 + 400 * 50 + 50 * 600),  # 0.2 of a million tokens: 200 billionths a token
        (Price(prompt=0.2, completion=0.6), 1000 * 200 + 50 * 600),  # cached as dear as the rest
        (Price(completion=0.00001), 0),  # half a billionth goes to the even side
        (Price(completion=0.01875), 938),  # 937.5
    ],
)
def test_the_cost_of_a_call(price: Price | None, nanos: int) -> None:
    assert cost_nanos(USED, price) == nanos


def test_engines_that_report_more_cached_than_prompt_do_not_pay_back() -> None:
    odd = Usage(prompt_tokens=10, cached_tokens=20)
    assert cost_nanos(odd, Price(prompt=1.0, cached=0.5)) == 20 * 500


def test_a_million_calls_add_up_without_drift() -> None:
    one = cost_nanos(Usage(prompt_tokens=1), Price(prompt=0.1))
    assert in_currency(1_000_000 * one) == 0.1
    assert in_nanos(49.87) == 49_870_000_000


def total(items: int, **more: Any) -> dict[str, Any]:
    used = {"calls": items, "cached_tokens": 0, "seconds": 1.0, "cost_nanos": 7}
    return {"items": items, "prompt_tokens": 100 * items, "completion_tokens": 10 * items, **used, **more}


def test_before_there_is_a_mean_the_most_counts() -> None:
    prices = {"teacher": PRICE}
    upper = cost_nanos(most(ONE), PRICE)
    assert estimate_nanos([ONE], prices, {}) == upper
    assert estimate_nanos([ONE], prices, {"teacher": total(MEAN_FROM - 1)}) == upper
    assert most(ONE).completion_tokens == 2 * (512 + 1024)  # once at the limit, once at its double
    assert most(ONE).prompt_tokens > 2 * 2 * 2880


def test_the_mean_counts_at_the_price_of_today() -> None:
    totals = {"teacher": total(MEAN_FROM)}
    at = {price: estimate_nanos([ONE], {"teacher": Price(prompt=price)}, totals) for price in (0.2, 0.4)}
    assert at[0.2] == MARGIN * 2 * 100 * 200
    assert at[0.4] == 2 * at[0.2]


def test_roles_without_a_price_cost_nothing_and_others_add_up() -> None:
    judge = Demand("assessor", 1, 10, 8)
    assert estimate_nanos([ONE, judge], {}, {}) == 0
    both = estimate_nanos([ONE, judge], {"teacher": PRICE, "assessor": PRICE}, {})
    assert both == cost_nanos(most(ONE), PRICE) + cost_nanos(most(judge), PRICE)


def test_prices_and_budget_are_settings() -> None:
    said = {"prompt": 0.2, "completion": 0.6}
    config = RunConfig.model_validate({"teacher": {"price": said}, "budget": {"limit": 5}, "currency": "EUR"})
    assert config.prices() == {"teacher": Price(prompt=0.2, completion=0.6)}
    changed = config.with_prices({"teacher": None, "student": PRICE}).with_budget(None)
    assert (changed.prices(), changed.budget) == ({"student": PRICE}, None)
    assert RunConfig.model_validate(config.model_dump()) == config
    for wrong in ({"budget": {"limit": -1}}, {"teacher": {"price": {"prompt": float("nan")}}}):
        with pytest.raises(ValidationError):
            RunConfig.model_validate(wrong)
