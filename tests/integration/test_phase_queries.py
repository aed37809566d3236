"""The queries that phases run look at what they need, however large the pools have grown: by Postgres' own plans.

On a filled and analysed database, whatever runs per look, per task or per page reads no big table whole.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.database import Reader, connect
from services.coordinator.repositories import browsing, budgets, outcomes, planning, pools, tasks, usage, work
from services.coordinator.repositories.browsing import CHOICES, Filter, Place
from services.coordinator.repositories.rows import execute, fetch, insert
from services.coordinator.repositories.tasks import Held, TaskKey
from tests.conftest import TEMPLATE, make_database
from tests.integration.builders import RUN
from tests.integration.filled import ITERATION, fill
from tests.integration.recorded import Recorded, explain, nodes, recording

NUM = 12_000  # 2,000 images
BIG = {"instructions", "tasks", "answers", "bindings", "verdicts", "selections", "dataset_items", "calls"}
MOST_ROWS = 4000  # that a node may expect to read for a look, a task or a page
PHASE = (RUN, ITERATION, "assessing")
Step = Callable[[AsyncConnection], Awaitable[Any]]


@pytest.fixture(scope="module")
def filled_url(postgres_server: str) -> str:
    return make_database(postgres_server, "filled", TEMPLATE)


@pytest.fixture
async def engine(filled_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(filled_url)
    async with engine.begin() as c:
        if not await fetch(c, "SELECT 1 FROM runs"):
            await fill(c, NUM)
            await planning.plan(c, *PHASE, work.LACKING["assessing"])
            await planning.plan(c, *PHASE, "SELECT md5(n::text) AS image FROM generate_series(1, 40000) n")
    async with Reader(engine).connect() as c:
        await execute(c, "ANALYZE")
    yield engine
    await engine.dispose()


async def images(engine: AsyncEngine, num: int = 20) -> list[str]:
    async with engine.connect() as c:
        rows = await fetch(c, f"SELECT DISTINCT image FROM instructions ORDER BY image LIMIT {num}")
    return [row["image"] for row in rows]


async def expensive(engine: AsyncEngine, recorded: Recorded, big: set[str] = BIG) -> list[str]:
    """The nodes that read a big table whole, or more rows of it than a look needs."""
    found = []
    async with engine.connect() as c:
        for statement, parameters in recorded.statements:
            plan = await explain(c, statement, parameters)
            for node in nodes(plan["Plan"]):
                if node.get("Relation Name") not in big or node["Node Type"] == "ModifyTable":
                    continue
                if node["Node Type"] == "Seq Scan" or (
                    node["Plan Rows"] > MOST_ROWS and not _ends_early(plan)
                ):
                    found.append(f"{node['Node Type']} of {node['Relation Name']} in {statement}")
    return found


def _ends_early(plan: dict[str, Any]) -> bool:
    return any(node["Node Type"] == "Limit" for node in nodes(plan["Plan"]))


def rows_read(plan: dict[str, Any]) -> float:
    """Of instructions, whether they were of use or not."""
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "instructions"]
    return sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in scans
    )


async def test_looks_and_publishing_cost_what_is_out(engine: AsyncEngine) -> None:
    with recording(engine) as recorded:
        async with engine.begin() as c:
            await planning.publish(c, *PHASE, 64, again=False)
            await planning.look(c, *PHASE, "8")
            await planning.publish(c, *PHASE, 64, again=True, after="8")
            await planning.waiting_note(c, RUN)
            await budgets.stand(c, RUN)
            await budgets.smallest_refused(c, RUN)
            await c.rollback()
    assert len(recorded.statements) > 8
    assert await expensive(engine, recorded) == []


async def test_claiming_holding_and_finishing_touch_their_tasks_alone(engine: AsyncEngine) -> None:
    keys = [TaskKey(*PHASE, image) for image in await images(engine)]
    with recording(engine) as recorded:
        async with engine.begin() as c:
            claims = await tasks.claim(c, keys, "w", 60)
            assert len(claims) == len(keys)
            await tasks.renew(c, [Held(claim, None, {}) for claim in claims], 60)
            await tasks.hold(c, claims)
            await tasks.count_error(c, claims[0], "error", 3)
            await tasks.give_back(c, claims[1:5])
            await tasks.finish(c, claims[5:])
            await c.rollback()
    assert await expensive(engine, recorded) == []


@pytest.mark.parametrize("phase", ["teaching", "augmenting"])
async def test_a_tasks_input_is_read_by_its_images(engine: AsyncEngine, phase: str) -> None:
    wanted = await images(engine)
    with recording(engine) as recorded:
        async with engine.connect() as c:
            await work.inputs(c, RUN, ITERATION, phase, wanted)
            await work.existing_texts(c, RUN, ITERATION, wanted)
            await work.known_answers(c, wanted)
    assert await expensive(engine, recorded) == []


async def test_an_assessments_input_is_read_by_its_images(engine: AsyncEngine) -> None:
    judge = {"revision": "j", "prompt_version": "1"}
    wanted = await images(engine)
    with recording(engine) as recorded:
        async with engine.connect() as c:
            found = await work.assessing_inputs(
                c, RUN, ITERATION, wanted, checkpoint="student-4", judge=judge
            )
    assert len(found) == 6 * len(wanted)
    assert await expensive(engine, recorded) == []


@pytest.mark.parametrize("pool", ["tuning", "cache"])
@pytest.mark.parametrize("iteration", [1, ITERATION])
async def test_pages_cost_the_same_at_any_depth(engine: AsyncEngine, pool: str, iteration: int) -> None:
    with recording(engine) as recorded:
        async with engine.connect() as c:
            for after in (-1, 1 << 61, (1 << 63) - (1 << 50)):
                await pools.page(c, RUN, pool, iteration, after, 101)
    assert await expensive(engine, recorded) == []
    async with engine.connect() as c:
        for statement, parameters in recorded.statements:
            plan = await explain(c, statement, parameters, ", ANALYZE")
            assert rows_read(plan["Plan"]) <= iteration * 101


async def test_an_export_and_a_training_file_are_read_page_by_page(engine: AsyncEngine) -> None:
    with recording(engine) as recorded:
        sizes = [len(rows) async for rows in pools.by_image(engine, RUN, "cache", ITERATION)]
        sizes += [len(rows) async for rows in pools.references(engine, "set")]
    assert sum(sizes) == 2 * NUM
    assert max(sizes) == pools.ROWS_AT_ONCE
    pages = Recorded(recorded.statements[:3] + recorded.statements[-3:])
    # a page is a good part of a test's answers, but never of a run's
    assert await expensive(engine, pages, {"instructions", "dataset_items"}) == []


async def test_what_a_page_shows_of_an_instruction_is_found_by_index(engine: AsyncEngine) -> None:
    async with engine.connect() as c:
        (row,) = await fetch(c, "SELECT id FROM instructions WHERE born_in = 4 ORDER BY id LIMIT 1")
    with recording(engine) as recorded:
        async with engine.connect() as c:
            assert await pools.ancestry(c, RUN, row["id"])
            for look in (pools.children, pools.answers, pools.verdicts):
                await look(c, RUN, row["id"])
    assert await expensive(engine, recorded) == []


async def test_a_batch_of_results_is_written_without_looking_around(engine: AsyncEngine) -> None:
    used = {
        **dict.fromkeys(usage.SUMMED, 1),
        "role": "teacher",
        "model_revision": "m",
        "attempt": 1,
        "number": 1,
    }
    calls = [{**used, **TaskKey(*PHASE, image).as_json()} for image in await images(engine)]
    with recording(engine) as recorded:
        async with engine.begin() as c:
            await usage.record(c, calls)
            await insert(
                c, "selections", [{"run_id": RUN, "iteration": 9, "instruction_id": 1, "kind": "easy"}]
            )
            await c.rollback()
    assert await expensive(engine, recorded) == []


async def test_statements_over_a_whole_pool_never_join_row_by_row(engine: AsyncEngine) -> None:
    """With statistics of before the run, the planner expects a row of each table, and would."""
    with recording(engine) as recorded:
        async with engine.begin() as c:
            await planning.plan(c, RUN, ITERATION, "teaching", work.LACKING["teaching"])
            await work.num_students_lacking(c, RUN, ITERATION, "student-4")
            await outcomes.leave_unanswered_unjudged(c, RUN, ITERATION)
            await pools.count_answered(c, RUN, "cache", ITERATION)
            for phase in work.LACKING:
                await work.progress(c, RUN, ITERATION, phase)
            await c.rollback()
    joins = 0
    async with engine.connect() as c:
        for table in BIG:
            await execute(c, f"DELETE FROM pg_statistic WHERE starelid = '{table}'::regclass")
        for statement, parameters in recorded.statements:
            if statement.lstrip().startswith("SET"):
                await c.exec_driver_sql(statement, parameters)
                continue
            kinds = [node["Node Type"] for node in nodes((await explain(c, statement, parameters))["Plan"])]
            assert "Nested Loop" not in kinds, statement
            joins += sum("Join" in kind for kind in kinds)
        await c.rollback()
    assert joins > 8


async def test_planning_refreshes_what_the_planner_knows(engine: AsyncEngine) -> None:
    async with Reader(engine).connect() as c:
        await execute(c, "UPDATE pg_class SET reltuples = 7 WHERE relname = 'verdicts'")
        await planning.analyze(c)
        (known,) = await fetch(c, "SELECT reltuples FROM pg_class WHERE relname = 'verdicts'")
    assert known["reltuples"] > NUM / 2


@pytest.mark.parametrize("more", [{}, {"task_type": "conversation"}, {"words": "place 4711"}])
async def test_people_browse_by_indexes(engine: AsyncEngine, more: dict[str, str]) -> None:
    with recording(engine) as recorded:
        async with engine.connect() as c:
            for show in CHOICES:
                wanted = Filter(ITERATION - 1, show, **more)
                after = Place(1 << 61, 0.5 if wanted.is_by_difficulty else None)
                rows = await browsing.page(c, RUN, wanted, 0.33, None, 25)
                await browsing.page(c, RUN, wanted, 0.33, after, 25)
                await browsing.answers(c, RUN, [row["id"] for row in rows], ITERATION - 1)
            await browsing.task_types(c, RUN)
            await browsing.newest_judged(c, RUN)
    assert await expensive(engine, recorded) == []
    async with engine.connect() as c:
        for statement, parameters in recorded.statements:
            plan = (await explain(c, statement, parameters))["Plan"]
            sorts = [node for node in nodes(plan) if node["Node Type"] == "Sort"]
            assert all(node["Plan Rows"] < MOST_ROWS for node in sorts), statement
