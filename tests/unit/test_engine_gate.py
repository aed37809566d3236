"""The gate before an engine: order, places, admission, and an engine that is down; by a clock of the test's own."""

import asyncio
from itertools import pairwise

import pytest

from shared.engine.gate import Gate
from shared.errors import EngineSlow, EngineUnreachable, RoleBusy


class World:
    """The time, and whether the engine is well; counts who asked."""

    def __init__(self) -> None:
        self.now, self.well, self.asked = 100.0, True, 0
        self.answer_health = asyncio.Event()
        self.answer_health.set()

    async def is_well(self) -> bool:
        self.asked += 1
        await self.answer_health.wait()
        return self.well

    def gate(self) -> Gate:
        return Gate("http://engine", self.is_well, lambda: self.now)


class Calls:
    """Calls that hold their place until they are told to end."""

    def __init__(self, gate: Gate):
        self.gate, self.begun, self.ends = gate, list[str](), dict[str, asyncio.Event]()

    def start(self, name: str) -> asyncio.Task[None]:
        self.ends[name] = asyncio.Event()
        return asyncio.create_task(self._call(name))

    async def _call(self, name: str) -> None:
        async with self.gate.place():
            self.begun.append(name)
            await self.ends[name].wait()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await turn()


async def turn() -> None:
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def fill(gate: Gate, calls: Calls) -> list[asyncio.Task[None]]:
    tasks = [calls.start(f"first {n}") for n in range(gate.limit.limit)]
    await turn()
    return tasks


async def cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def request(gate: Gate, calls: Calls, names: list[str], later: asyncio.Event) -> None:
    """One admitted request: a call, and after `later` another."""
    with gate.admitted():
        first = calls.start(names[0])
        await later.wait()
        await asyncio.gather(first, calls.start(names[1]))


async def test_no_more_calls_than_the_limit_and_each_place_goes_to_the_next() -> None:
    gate = World().gate()
    calls = Calls(gate)
    tasks = await fill(gate, calls)
    tasks += [calls.start("next"), calls.start("last")]
    await turn()
    assert (gate.in_flight, gate.waiting) == (8, 2)
    await calls.end("first 3")
    assert calls.begun[-1] == "next"
    assert (gate.in_flight, gate.waiting) == (8, 1)
    await cancel(tasks)
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_the_calls_of_an_earlier_request_go_first() -> None:
    gate = World().gate()
    calls = Calls(gate)
    tasks, later = await fill(gate, calls), asyncio.Event()
    tasks.append(asyncio.create_task(request(gate, calls, ["a1", "a2"], later)))
    await turn()
    tasks.append(asyncio.create_task(request(gate, calls, ["b1", "b2"], asyncio.Event())))
    await turn()
    later.set()  # the first request's second call comes after the second request's first
    await turn()
    for number in range(3):
        await calls.end(f"first {number}")
    assert calls.begun[8:] == ["a1", "a2", "b1"]
    await cancel(tasks)


async def test_a_call_that_leaves_the_line_leaves_no_hole() -> None:
    gate = World().gate()
    calls = Calls(gate)
    tasks = await fill(gate, calls)
    left, stays = calls.start("left"), calls.start("stays")
    await turn()
    await cancel([left])
    await calls.end("first 0")
    assert calls.begun[-1] == "stays"
    await cancel([*tasks, stays])
    assert gate.in_flight == 0


async def test_a_call_cancelled_as_it_gets_its_place_gives_it_on() -> None:
    gate = World().gate()
    calls = Calls(gate)
    tasks = await fill(gate, calls)
    left, stays = calls.start("left"), calls.start("stays")
    await turn()
    tasks[0].cancel()
    await asyncio.sleep(0)  # the place is granted, but its owner has not yet been told
    left.cancel()
    await turn()
    assert calls.begun[-1] == "stays"
    await cancel([*tasks, stays])
    assert gate.in_flight == 0


async def test_a_request_is_refused_as_a_whole_where_the_line_is_long() -> None:
    gate = World().gate()
    calls = Calls(gate)
    tasks = await fill(gate, calls)
    with gate.admitted():  # taken while there was room, it calls as often as it must
        tasks += [calls.start(f"more {n}") for n in range(40)]
        await turn()
        assert gate.waiting == 40
    for _ in range(8):
        gate.answered(4.0)
    with pytest.raises(RoleBusy, match="40 calls wait") as caught, gate.admitted():
        pass
    wait_s = float(caught.value.headers["retry-after"])
    assert 20 / 8 <= wait_s <= 20 / 8 * 4.0  # half of the line at the rate of eight in up to 4 s
    await cancel(tasks)


async def test_admitted_requests_count_before_they_call() -> None:
    gate = World().gate()
    calls = Calls(gate)
    tasks = await fill(gate, calls)
    entered = [gate.admitted() for _ in range(16)]
    for one in entered:
        one.__enter__()
    with pytest.raises(RoleBusy), gate.admitted():
        pass
    for one in reversed(entered):
        one.__exit__(None, None, None)
    with gate.admitted():
        assert gate.waiting == 1
    await cancel(tasks)


def lost(gate: Gate) -> None:
    gate.failed(EngineUnreachable("the engine at http://engine cannot be reached (refused); start it"))


async def test_an_engine_that_is_down_sends_everyone_away_at_once() -> None:
    world = World()
    gate = world.gate()
    calls = Calls(gate)
    tasks = await fill(gate, calls)
    waiting = calls.start("waits")
    await turn()
    lost(gate)
    await turn()
    assert waiting.done()
    with pytest.raises(EngineUnreachable, match="http://engine cannot be reached"):
        await waiting
    with pytest.raises(EngineUnreachable) as caught, gate.admitted():
        pass
    assert float(caught.value.headers["retry-after"]) == 0.5
    assert world.asked == 0
    await cancel(tasks)


async def place(gate: Gate) -> None:
    async with gate.place():
        pass


async def test_while_it_is_down_one_at_a_time_looks_and_ever_more_rarely() -> None:
    world = World()
    gate, world.well = world.gate(), False
    lost(gate)
    looked_at = []
    for _ in range(200):
        world.now += 0.1
        asked = world.asked
        with pytest.raises(EngineUnreachable):
            await place(gate)
        if world.asked > asked:
            looked_at.append(round(world.now - 100, 1))
    pauses = [b - a for a, b in pairwise(looked_at)]
    assert looked_at[0] == pytest.approx(0.5, abs=0.11)
    assert pauses[:3] == pytest.approx([1.0, 2.0, 4.0], abs=0.11)
    assert max(pauses) <= 5.11


async def test_when_it_is_back_all_flows_after_one_look() -> None:
    world = World()
    gate = world.gate()
    lost(gate)
    world.now += 1
    world.answer_health.clear()
    looking = asyncio.create_task(place(gate))
    await turn()
    with pytest.raises(EngineUnreachable):  # while the first looks, others do not
        await place(gate)
    world.answer_health.set()
    await looking
    await asyncio.gather(*(place(gate) for _ in range(20)))
    assert world.asked == 1


async def test_a_call_beyond_its_deadline_counts_as_too_much_work() -> None:
    gate = World().gate()
    before = gate.limit.limit
    gate.failed(EngineSlow("slow"))
    assert gate.limit.limit < before


async def test_places_follow_what_the_engine_says_of_its_queue() -> None:
    gate = World().gate()
    calls = Calls(gate)
    tasks = await fill(gate, calls)
    tasks.append(calls.start("next"))
    await turn()
    gate.told_waiting(0.0)  # the limit rises, and the next call begins at once
    await turn()
    assert calls.begun[-1] == "next"
    await cancel(tasks)
