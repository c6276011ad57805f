"""Items are begun early where a slot is spare, and come out in order."""

import asyncio
from contextlib import aclosing

import pytest

from rephrase.scheduling.ahead import work_ahead


class Slots:
    """Hands out spare slots when told to."""

    def __init__(self, n=0):
        self._spare = asyncio.Semaphore(n)

    async def wait(self):
        await self._spare.acquire()

    def free(self):
        self._spare.release()


class Work:
    """What is begun, in order; an item is done when `finish` says so."""

    def __init__(self):
        self.begun, self.cancelled, self._done = [], [], {}

    async def __call__(self, item):
        self.begun.append(item)
        try:
            await self._done.setdefault(item, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        return item * 10

    def finish(self, *items):
        for item in items:
            self._done.setdefault(item, asyncio.Event()).set()


async def collected(generator, into):
    async with aclosing(generator) as results:
        async for result in results:
            into.append(result)


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_without_spare_slots_each_item_waits_for_the_one_before_it():
    work, results = Work(), []
    running = asyncio.create_task(collected(work_ahead([1, 2, 3], work, None), results))
    await settle()
    assert work.begun == [1]
    work.finish(1, 3)
    await settle()
    assert (work.begun, results) == ([1, 2], [10])
    work.finish(2)
    await running
    assert results == [10, 20, 30]


async def test_a_spare_slot_begins_one_more_and_the_order_stays():
    work, results, slots = Work(), [], Slots()
    running = asyncio.create_task(collected(work_ahead([1, 2, 3, 4], work, slots.wait), results))
    await settle()
    slots.free()
    await settle()
    assert work.begun == [1, 2]
    slots.free()
    await settle()
    assert work.begun == [1, 2, 3]
    work.finish(2, 3)
    await settle()
    assert (work.begun, results) == ([1, 2, 3], [])
    work.finish(1)
    await settle()
    assert (work.begun, results) == ([1, 2, 3, 4], [10, 20, 30])
    work.finish(4)
    await running
    assert results == [10, 20, 30, 40]


async def test_what_is_begun_is_cancelled_when_nobody_wants_it():
    work, slots = Work(), Slots(5)
    work.finish(1)
    async with aclosing(work_ahead([1, 2, 3], work, slots.wait)) as results:
        async for result in results:
            assert result == 10
            await settle()
            break
    assert work.cancelled == work.begun[1:]
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_comes_in_its_turn():
    async def fail_on_two(item):
        if item == 2:
            raise ValueError("two")
        await asyncio.sleep(0.001)
        return item

    results = []
    with pytest.raises(ValueError, match="two"):
        await collected(work_ahead([1, 2, 3], fail_on_two, Slots(5).wait), results)
    assert results == [1]
    assert len(asyncio.all_tasks()) == 1
