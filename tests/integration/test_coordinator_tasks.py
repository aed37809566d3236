"""Tasks in Postgres: planned once, published within a bound, claimed by one, fenced by the attempt number."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.committer import ClaimLost, Committer
from services.coordinator.database import connect
from services.coordinator.leadership import Leader, LeadershipLost, leadership
from services.coordinator.ledger import ERRORS_ALLOWED, Ledger
from services.coordinator.repositories import planning, tasks, work
from services.coordinator.repositories.rows import execute, fetch, insert, scalar
from services.coordinator.repositories.tasks import Claim, Held, TaskKey
from shared.types import JsonObject
from tests.integration.builders import RUN, instruction, make_run

KEYS = [TaskKey(RUN, 1, "teaching", image) for image in ("a", "b", "c")]


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c)
        await insert(c, "instructions", [instruction(n, image) for n, image in enumerate("aabbc", 1)])
        assert await planning.plan(c, RUN, 1, "teaching", work.LACKING["teaching"]) == 3
    yield engine
    await engine.dispose()


async def states(c: AsyncConnection) -> dict[str, str]:
    return {row["image"]: row["state"] for row in await fetch(c, "SELECT image, state FROM tasks")}


def held(claim: Claim, note: str | None = None, engines: JsonObject | None = None) -> Held:
    return Held(claim, note, {"engines": engines or {}, "judge": None})


async def test_planning_again_adds_nothing(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        assert await planning.plan(c, RUN, 1, "teaching", work.LACKING["teaching"]) == 0


async def test_publishing_keeps_to_the_bound(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        assert await planning.publish(c, RUN, 1, "teaching", 2, again=False) == KEYS[:2]
        assert await planning.publish(c, RUN, 1, "teaching", 2, again=False) == []
        assert await planning.publish(c, RUN, 1, "teaching", 3, again=False) == KEYS[2:]


async def test_a_lost_queue_is_published_again_but_not_what_is_leased(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        await planning.publish(c, RUN, 1, "teaching", 3, again=False)
        await tasks.claim(c, KEYS[:1], "w", 60)
        assert await planning.publish(c, RUN, 1, "teaching", 3, again=True) == KEYS[1:]


async def test_publishing_goes_on_behind_the_last_image_and_then_comes_round(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        assert await planning.publish(c, RUN, 1, "teaching", 1, again=False, after="a") == KEYS[1:2]
        assert await planning.publish(c, RUN, 1, "teaching", 3, again=False, after="b") == [KEYS[0], KEYS[2]]


async def test_a_look_tells_what_is_ready_and_what_is_out(engine: AsyncEngine) -> None:
    async def look(after: str = "") -> tuple[bool, int]:
        found = await planning.look(c, RUN, 1, "teaching", after)
        return found.ready, found.out

    async with engine.begin() as c:
        assert await look() == (True, 0)
        await planning.publish(c, RUN, 1, "teaching", 2, again=False)
        assert (await look("b"), await look("c")) == ((True, 2), (True, 2))
        await planning.publish(c, RUN, 1, "teaching", 3, again=False)
        assert await look() == (False, 3)
        (claim,) = await tasks.claim(c, KEYS[:1], "w", -1)
        assert await look() == (True, 2)  # its lease ran out
        await tasks.claim(c, KEYS[:1], "w", 60)
        assert await look() == (False, 3)
        await tasks.finish(c, [Claim(claim.key, 2)])
        assert await look() == (False, 2)


async def test_a_task_has_one_owner(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        (claim,) = await tasks.claim(c, KEYS[:1], "w1", 60)
        assert await tasks.claim(c, KEYS[:1], "w2", 60) == []
        assert claim.attempt == 1


async def test_an_expired_lease_is_published_and_claimed_again_and_fences_the_first(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as c:
        (old,) = await tasks.claim(c, KEYS[:1], "w1", -1)
        await planning.publish(c, RUN, 1, "teaching", 1, again=False)
        assert (await states(c))["a"] == "published"
        (new,) = await tasks.claim(c, KEYS[:1], "w2", 60)
        assert (old.attempt, new.attempt) == (1, 2)
        assert await tasks.hold(c, [old, new]) == {new}
        assert await tasks.renew(c, [held(old), held(new, "waits")], 60) == {new}
        assert await planning.waiting_note(c, RUN) == "waits"
        await tasks.finish(c, [old])
        assert (await states(c))["a"] == "leased"
        await tasks.finish(c, [new])
        assert (await states(c))["a"] == "done"


@pytest.mark.parametrize(
    "change", ["UPDATE runs SET status = 'paused'", "UPDATE iterations SET phase = 'training'"]
)
async def test_what_is_not_wanted_now_goes_back(engine: AsyncEngine, change: str) -> None:
    async with engine.begin() as c:
        await planning.publish(c, RUN, 1, "teaching", 3, again=False)
        await execute(c, change)
        assert await tasks.claim(c, KEYS, "w", 60) == []
        assert set((await states(c)).values()) == {"todo"}


async def test_a_paused_runs_leases_are_renewed_while_its_tasks_come_to_an_end(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        (claim,) = await tasks.claim(c, KEYS[:1], "w", 60)
        await execute(c, "UPDATE runs SET status = 'paused'")
        assert await tasks.renew(c, [held(claim)], 60) == {claim}
        await execute(c, "UPDATE runs SET status = 'cancelled'")
        assert await tasks.renew(c, [held(claim)], 60) == set()
        await tasks.give_back(c, [claim])
        assert (await states(c))["a"] == "todo"


async def test_a_task_that_waits_for_engines_of_before_is_no_longer_ours(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        waiting, busy, other = await tasks.claim(c, KEYS, "w", 60)
        await execute(c, """UPDATE runs SET engines = '{"teacher": {"model": "new"}}'""")
        ours = await tasks.renew(
            c, [held(waiting, "down"), held(busy), held(other, "down", {"teacher": {"model": "new"}})], 60
        )
        assert ours == {busy, other}


async def test_an_assessment_without_a_judge_is_not_begun(engine: AsyncEngine) -> None:
    keys = [TaskKey(RUN, 1, "assessing", "a")]
    async with engine.begin() as c:
        await execute(c, "UPDATE iterations SET phase = 'assessing'")
        await planning.plan(c, RUN, 1, "assessing", work.LACKING["assessing"])
        assert await tasks.claim(c, keys, "w", 60) == []
        await execute(c, "UPDATE iterations SET judge = '{}'")
        assert [one.key for one in await tasks.claim(c, keys, "w", 60)] == keys


async def test_errors_fail_a_task_in_the_end(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        for expected in (False, True):
            (claim,) = await tasks.claim(c, KEYS[:1], "w", 60)
            assert await tasks.count_error(c, claim, "ValueError", 2) is expected
        assert (await states(c))["a"] == "failed"


async def test_a_task_that_keeps_ending_unexpectedly_is_a_failure_that_people_see(
    engine: AsyncEngine,
) -> None:
    ledger = Ledger(engine, "w", 60)
    for count in range(1, ERRORS_ALLOWED + 1):
        (claimed,) = await ledger.claim(KEYS[:1])
        await ledger.count_error(claimed, f"ValueError: {count}")
    async with engine.connect() as c:
        assert (await states(c))["a"] == "failed"
        (found,) = await fetch(c, "SELECT phase, image, reason, attempts FROM failures")
        assert found == {"phase": "teaching", "image": "a", "reason": "ValueError: 3", "attempts": 3}


async def test_group_commit_writes_ours_and_drops_the_rest(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        ours, lost = await tasks.claim(c, KEYS[:2], "w", 60)
        await execute(c, "UPDATE tasks SET attempt = 9 WHERE image = :image", image=lost.key.image)
    committer = Committer(engine)

    def failure(image: str) -> dict[str, object]:
        key = {"run_id": RUN, "iteration": 1, "phase": "teaching", "image": image}
        return {**key, "instruction_id": 0, "reason": "r", "attempts": 1}

    import asyncio

    running = asyncio.create_task(committer.run())
    results = await asyncio.gather(
        committer.commit(ours, {"failures": [failure("ours")]}, finish=True),
        committer.commit(lost, {"failures": [failure("lost")]}, finish=True),
        committer.commit(ours, {"failures": [{**failure("bad"), "iteration": "x"}]}),
        return_exceptions=True,
    )
    running.cancel()
    async with engine.connect() as c:
        assert await scalar(c, "SELECT string_agg(image, ' ') FROM failures") == "ours"
        assert (await states(c))[ours.key.image] == "done"
    assert results[0] is None
    assert isinstance(results[1], ClaimLost)
    assert isinstance(results[2], Exception)


async def test_a_new_leader_takes_the_pen_from_the_old(engine: AsyncEngine) -> None:
    async with leadership(engine) as (first, lock), first.transaction() as c:
        assert await scalar(lock, "SHOW idle_session_timeout") == "10s"
        assert await scalar(c, "SHOW idle_in_transaction_session_timeout") == "10s"
    async with leadership(engine) as (second, _):
        assert second.epoch == first.epoch + 1
        with pytest.raises(LeadershipLost, match="epoch 1 is over"):
            async with Leader(engine, first.epoch).transaction() as c:
                await execute(c, "UPDATE runs SET name = 'stolen'")
        async with engine.connect() as c:
            assert await scalar(c, "SELECT count(*) FROM runs WHERE name = 'stolen'") == 0
