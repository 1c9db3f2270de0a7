from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.inference.batching import BatchQueue, RowCache


class Model:
    """Rows (item, 2 * item); writes down every batch. Where `gate` is given each run waits for it."""

    def __init__(self, gate: threading.Semaphore | None = None) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Semaphore(0)
        self.gate = gate

    def __call__(self, items: Sequence[int]) -> np.ndarray:
        self.batches.append(list(items))
        self.started.release()
        if self.gate is not None:
            self.gate.acquire()
        if -1 in items:
            raise ValueError("minus one")
        return np.array([(item, 2 * item) for item in items], np.float32).reshape(-1, 2)


def queue_of(model: Model, *, max_items: int = 8, max_cached: int = 0) -> BatchQueue[int]:
    return BatchQueue(model, width=2, max_items=max_items, max_cached=max_cached)


def rows(items: Sequence[int]) -> np.ndarray:
    return np.array([(item, 2 * item) for item in items], np.float32).reshape(-1, 2)


async def running(model: Model) -> None:
    """Until the model is in its next run."""
    await asyncio.to_thread(model.started.acquire)


@given(st.lists(st.lists(st.integers(0, 9), max_size=20), max_size=12), st.integers(1, 7), st.sampled_from([0, 3, 100]))
def test_everyone_gets_his_own_rows_in_order(requests, max_items, max_cached):
    model = Model()
    queue = queue_of(model, max_items=max_items, max_cached=max_cached)

    async def everyone():
        return await asyncio.gather(*(queue.submit(items) for items in requests))

    for items, result in zip(requests, asyncio.run(everyone()), strict=True):
        np.testing.assert_array_equal(result, rows(items))
        np.testing.assert_array_equal(queue.now(items), rows(items))
    assert all(0 < len(batch) <= max_items for batch in model.batches)
    assert all(len(set(batch)) == len(batch) for batch in model.batches)


async def test_what_queues_up_during_a_run_goes_into_the_next():
    model = Model(gate=threading.Semaphore(0))
    queue = queue_of(model)
    first = asyncio.create_task(queue.submit([1]))
    await running(model)
    others = [asyncio.create_task(queue.submit([n])) for n in (2, 3, 2)]
    await asyncio.sleep(0)
    model.gate.release(2)
    np.testing.assert_array_equal(await first, rows([1]))
    for n, task in zip((2, 3, 2), others, strict=True):
        np.testing.assert_array_equal(await task, rows([n]))
    assert model.batches == [[1], [2, 3]]


async def test_a_short_request_does_not_wait_for_the_end_of_a_long_one():
    model = Model(gate=threading.Semaphore(0))
    queue = queue_of(model, max_items=4)
    long = asyncio.create_task(queue.submit(list(range(100, 112))))
    await running(model)
    short = asyncio.create_task(queue.submit([7]))
    await asyncio.sleep(0)
    model.gate.release(2)
    np.testing.assert_array_equal(await short, rows([7]))
    assert not long.done()
    model.gate.release(9)
    np.testing.assert_array_equal(await long, rows(range(100, 112)))
    assert 7 in model.batches[1]


async def test_a_cancelled_caller_leaves_the_queue_and_harms_nobody():
    model = Model(gate=threading.Semaphore(0))
    queue = queue_of(model)
    first = asyncio.create_task(queue.submit([1]))
    await running(model)
    gone, stays = asyncio.create_task(queue.submit([2])), asyncio.create_task(queue.submit([3]))
    await asyncio.sleep(0)
    for task in (first, gone):
        task.cancel()
    await asyncio.gather(first, gone, return_exceptions=True)
    model.gate.release(5)
    np.testing.assert_array_equal(await stays, rows([3]))
    assert first.cancelled()
    assert gone.cancelled()
    assert model.batches == [[1], [3]]


async def test_an_error_goes_to_whose_items_fail_and_to_nobody_else():
    model = Model(gate=threading.Semaphore(0))
    queue = queue_of(model)
    first = asyncio.create_task(queue.submit([1]))
    await running(model)
    bad, good = asyncio.create_task(queue.submit([-1, 5])), asyncio.create_task(queue.submit([4]))
    await asyncio.sleep(0)
    model.gate.release(9)
    with pytest.raises(ValueError, match="minus one"):
        await bad
    np.testing.assert_array_equal(await good, rows([4]))
    np.testing.assert_array_equal(await first, rows([1]))
    np.testing.assert_array_equal(await queue.submit([6]), rows([6]))


async def test_a_long_request_that_fails_is_answered_once():
    queue = queue_of(Model(), max_items=2)
    with pytest.raises(ValueError, match="minus one"):
        await queue.submit([1, 2, -1, 3, 4, 5])
    with pytest.raises(ValueError, match="minus one"):
        queue.now([-1])


async def test_what_came_before_is_not_computed_again_and_cannot_be_changed():
    model = Model()
    queue = queue_of(model, max_cached=2)
    first = await queue.submit([1, 2])
    first[:] = 99
    np.testing.assert_array_equal(await queue.submit([2, 1]), rows([2, 1]))
    np.testing.assert_array_equal(queue.now([1]), rows([1]))
    assert model.batches == [[1, 2]]
    await queue.submit([3])
    await queue.submit([2])
    assert model.batches == [[1, 2], [3], [2]]


async def test_a_caller_whose_loop_is_gone_harms_nobody():
    model = Model(gate=threading.Semaphore(0))
    queue = queue_of(model)

    async def leave() -> None:
        task = asyncio.create_task(queue.submit([1]))
        await running(model)
        task.cancel()

    await asyncio.to_thread(asyncio.run, leave())
    model.gate.release(2)
    np.testing.assert_array_equal(await queue.submit([2]), rows([2]))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5))), st.integers(0, 4))
def test_the_cache_keeps_what_was_used_last(steps, max_items):
    cache, expected = RowCache(max_items), OrderedDict()
    for is_put, item in steps:
        if is_put:
            cache.put(item, np.array([item], np.float32))
            if max_items:
                expected[item] = item
                expected.move_to_end(item)
                while len(expected) > max_items:
                    expected.popitem(last=False)
        else:
            row = cache.get(item)
            assert (None if row is None else row[0]) == expected.get(item)
            if item in expected:
                expected.move_to_end(item)
    assert len(cache) == len(expected)
