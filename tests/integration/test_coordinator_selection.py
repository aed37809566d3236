"""The SQL that selects in production equals the pure oracle, for every mode."""

import random

import pytest

from services.coordinator.database import connect
from services.coordinator.repositories import outcomes
from services.coordinator.repositories.rows import execute, fetch
from services.coordinator.run_config import SelectionMode
from services.coordinator.selection import choose, select
from tests.integration.builders import RUN, make_run, make_verdicts

BORDER = [0.33, 0.32999999999999996, 0.33000000000000007, 1 / 3, 0.1, 1.0]


def table(rng: random.Random) -> dict[int, float | None]:
    values: list[float | None] = [*BORDER, None]
    return {
        rng.randrange(2**63): rng.choice(values) if rng.random() < 0.5 else rng.uniform(0.1, 1)
        for _ in range(rng.choice([0, 1, 2, 40]))
    }


@pytest.mark.parametrize("mode", ["balanced", "difficult_only", "easy_only", "random"])
async def test_sql_and_oracle_select_the_same(postgres_url: str, mode: SelectionMode) -> None:
    rng = random.Random(mode)
    engine = connect(postgres_url)
    async with engine.connect() as c:
        await make_run(c)
        for round_number in range(25):
            values, tau, seed = table(rng), rng.choice([0.0, 0.33, 0.67, 1.0]), rng.choice([0, 1, 2**40])
            number = rng.choice([None, 1, 4, 5, 30, 1000])
            await execute(c, "DELETE FROM verdicts")
            await execute(c, "DELETE FROM selections")
            await make_verdicts(c, values, round_number)
            await outcomes.select(c, RUN, round_number, mode=mode, number=number, tau=tau, seed=seed)
            rows = await fetch(c, "SELECT instruction_id, kind FROM selections")
            judged = {one: value for one, value in values.items() if value is not None}
            chosen = {row["instruction_id"] for row in rows}
            assert chosen == choose(mode, number, judged, tau, seed)
            assert all((row["kind"] == "difficult") == (judged[row["instruction_id"]] >= tau) for row in rows)
            if mode == "balanced" and number is None:
                assert chosen == {one for part in select(judged, tau, seed) for one in part}
    await engine.dispose()


async def test_selecting_twice_changes_nothing(postgres_url: str) -> None:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c)
        await make_verdicts(c, {1: 0.9, 2: 0.1, 3: 0.1, 4: None})
        for _ in range(2):
            await outcomes.select(c, RUN, 1, mode="balanced", number=None, tau=0.33, seed=0)
        counts = await outcomes.selection_counts(c, RUN, 1)
        assert counts == {"difficult": 1, "easy": 1}
        assert (await outcomes.verdict_counts(c, RUN, 1))["unjudged"] == 1
    await engine.dispose()
