import asyncio

import pytest

from npc_engine.dialogue.stop import StopSignal, TurnStopped
from tests.talk import at_once


class Work:
    """Something that takes for ever, and knows whether it was cancelled."""

    def __init__(self):
        self.was_cancelled = False

    async def run(self):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise

    async def items(self):
        yield 1
        await self.run()


async def value(result):
    return result


async def failing():
    raise KeyError("mine")


async def test_what_ends_first_is_returned():
    assert await StopSignal(10).race(value("done")) == "done"


async def test_errors_pass():
    with pytest.raises(KeyError, match="mine"):
        await StopSignal(10).race(failing())


async def test_cancel_stops_the_work_and_whatever_comes_after():
    stop, work = StopSignal(10), Work()

    async def canceller():
        stop.cancel()

    async def stopped():
        with pytest.raises(TurnStopped) as caught:
            await stop.race(work.run())
        return caught.value.reason

    assert (await at_once(stopped(), canceller()))[0] == "cancelled"
    assert work.was_cancelled
    with pytest.raises(TurnStopped):
        await stop.race(value("too late"))


async def test_the_deadline_stops_the_work():
    stop, work = StopSignal(0.01), Work()
    with pytest.raises(TurnStopped) as caught:
        await stop.race(work.run())
    assert caught.value.reason == "deadline"
    assert work.was_cancelled


async def test_the_player_wins_over_the_deadline():
    stop = StopSignal(0)
    stop.cancel()
    with pytest.raises(TurnStopped) as caught:
        await stop.race(Work().run())
    assert caught.value.reason == "cancelled"


async def test_a_future_is_cancelled_too():
    stop, answer = StopSignal(0), asyncio.get_running_loop().create_future()
    with pytest.raises(TurnStopped):
        await stop.race(answer)
    assert answer.cancelled()


async def test_a_stream_ends_with_its_source():
    async def numbers():
        for number in range(3):
            yield number

    assert [number async for number in StopSignal(10).stream(numbers())] == [0, 1, 2]


async def test_a_stopped_stream_closes_its_source():
    stop, work = StopSignal(10), Work()
    heard = []

    async def listener():
        async for item in stop.stream(work.items()):
            heard.append(item)
            stop.cancel()

    with pytest.raises(TurnStopped):
        await listener()
    assert heard == [1]


async def test_a_cancelled_task_cancels_its_work():
    stop, work = StopSignal(10), Work()
    task = asyncio.create_task(stop.race(work.run()))

    async def canceller():
        task.cancel()

    results = await asyncio.gather(task, canceller(), return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
