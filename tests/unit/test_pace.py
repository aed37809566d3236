"""A worker's pace with a service that is busy or down, in virtual time."""

import asyncio

import pytest

from services.coordinator.outgoing import ItemFailed, Waiting
from services.coordinator.tasks.pace import FIRST, LASTING_S, Pace
from tests.virtual_time import run

NETWORK_S, CALL_S, PAUSE_S = 0.01, 1.0, 2.0


class Service:
    """Takes so many calls at once and refuses the others; down, it takes none."""

    def __init__(self, takes: int):
        self.takes, self.down = takes, False
        self.inside = self.most = self.refused = 0
        self.done: list[int] = []

    async def call(self, name: int) -> None:
        await asyncio.sleep(NETWORK_S)
        if self.down or self.inside >= self.takes:
            self.refused += 1
            raise Waiting("not now", PAUSE_S, "down" if self.down else "busy")
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(CALL_S)
        self.inside -= 1
        self.done.append(name)


async def insist(pace: Pace, service: Service, name: int) -> None:
    number = pace.number()
    while True:
        try:
            async with pace.turn(number):
                await service.call(name)
            return
        except Waiting:
            continue


async def insist_all(pace: Pace, service: Service, calls: int) -> None:
    async with asyncio.timeout(1000):
        await asyncio.gather(*(insist(pace, service, name) for name in range(calls)))


def test_a_busy_service_gets_what_it_takes_and_few_calls_more() -> None:
    async def main() -> None:
        pace, service = Pace(), Service(takes=10)
        await insist_all(pace, service, 400)
        assert sorted(service.done) == list(range(400))
        assert service.most == 10
        assert service.refused < 0.5 * 400
        assert asyncio.get_running_loop().time() < 3.5 * 400 / 10 * CALL_S

    run(main())


def test_calls_that_were_refused_keep_their_place() -> None:
    async def main() -> None:
        pace, service = Pace(), Service(takes=4)
        await insist_all(pace, service, 60)
        assert max(abs(place - name) for place, name in enumerate(service.done)) <= 10

    run(main())


def test_one_refusal_holds_all_calls_back() -> None:
    async def main() -> None:
        service = Service(takes=0)
        asking = asyncio.create_task(insist_all(Pace(), service, 50))
        await asyncio.sleep(PAUSE_S)
        assert service.refused == int(FIRST)  # those that went off together; nobody after them
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    run(main())


def test_while_the_service_is_down_one_at_a_time_tries_and_then_all_flow() -> None:
    async def main() -> None:
        service = Service(takes=100)
        service.down = True
        asking = asyncio.create_task(insist_all(Pace(), service, 100))
        await asyncio.sleep(PAUSE_S)
        first = service.refused
        await asyncio.sleep(PAUSE_S * 10)
        assert first == int(FIRST)
        assert 6 <= service.refused - first <= 11
        service.down = False
        back_at = asyncio.get_running_loop().time()
        await asking
        assert service.most >= FIRST
        assert asyncio.get_running_loop().time() - back_at < 2 * PAUSE_S + 5 * CALL_S

    run(main())


def test_more_at_once_as_long_as_the_service_takes_them() -> None:
    async def main() -> None:
        service = Service(takes=1000)
        await insist_all(Pace(), service, 400)
        assert service.most >= 2 * FIRST

    run(main())


def test_an_item_that_fails_holds_nobody_back() -> None:
    async def main() -> None:
        pace = Pace()
        with pytest.raises(ItemFailed):
            async with pace.turn(pace.number()):
                raise ItemFailed("no")
        async with asyncio.timeout(0.01), pace.turn(pace.number()):
            pass

    run(main())


def test_that_a_service_is_busy_is_told_only_if_it_lasts() -> None:
    async def main() -> None:
        pace, service = Pace(), Service(takes=0)
        asking = asyncio.create_task(insist(pace, service, 1))
        await asyncio.sleep(LASTING_S - 1)
        assert not pace.lasting
        await asyncio.sleep(2)
        assert pace.lasting
        service.takes = 1
        await asking
        assert not pace.lasting

    run(main())
