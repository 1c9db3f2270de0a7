"""Who is preempted, who is late, and that neither shows in what anybody says."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from npc_engine.errors import DeadlineExceeded, InternalError, Overloaded
from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sequence import AGEING_S, Priority
from tests.inference.conftest import EngineFactory
from tests.inference.talking import GREEDY, PROMPT, WARM, Reply, say, stepped

NPC_PARAMS = replace(WARM, repetition_penalty=1.2)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def begin(engine: InferenceEngine, task: asyncio.Task[Reply], steps: int = 1) -> None:
    """Submit the task's request and step a few times."""
    for _ in range(steps):
        await asyncio.sleep(0)
        engine.step()


@pytest.mark.parametrize("store_bytes", [0, 1 << 24], ids=["recomputed", "copied back"])
def test_a_preempted_reply_is_the_same_reply(engine_of: EngineFactory, store_bytes: int) -> None:
    settings_of = {"num_slots": 2, "prefix_store_bytes": store_bytes}

    async def alone() -> list[list[int]]:
        with engine_of(prefix_store_bytes=0) as engine:
            return [(await say(engine, PROMPT[n:], NPC_PARAMS)).token_ids for n in range(2)]

    expected = asyncio.run(alone())

    @settings(deadline=None, max_examples=12)
    @given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 6)), min_size=1, max_size=6))
    def interrupted(players: list[tuple[int, int]]) -> None:
        asyncio.run(talk(players))

    async def talk(players: list[tuple[int, int]]) -> None:
        with engine_of(is_started=False, **settings_of) as engine:
            talking = [
                asyncio.create_task(say(engine, PROMPT[n:], NPC_PARAMS, talk=None if n else "a", priority=Priority.NPC))
                for n in range(2)
            ]
            for steps, tokens in players:
                await begin(engine, talking[0], steps)
                for n in range(2):
                    said = asyncio.create_task(say(engine, PROMPT[7 * n : 30], replace(GREEDY, max_new_tokens=tokens)))
                    await asyncio.sleep(0)
                    talking.append(said)
            replies = [await stepped(engine, task) for task in talking]
            assert [reply.token_ids for reply in replies[:2]] == expected
            assert sum(reply.stats.num_preemptions for reply in replies[2:]) == 0
            assert engine.stats()["preemptions"] == sum(reply.stats.num_preemptions for reply in replies[:2]) > 0
            engine.step()
            assert (engine.stats()["slots_active"], engine.stats()["waiting"]) == (0, 0)

    interrupted()


async def test_a_player_is_served_while_characters_hold_every_slot(engine_of: EngineFactory) -> None:
    with engine_of(is_started=False, num_slots=2) as engine:
        talking = [asyncio.create_task(say(engine, PROMPT[n:], NPC_PARAMS, priority=Priority.NPC)) for n in range(2)]
        await begin(engine, talking[0], 9)
        player = asyncio.create_task(say(engine, PROMPT[:9], replace(GREEDY, max_new_tokens=4)))
        await stepped(engine, player)
        assert not any(task.done() for task in talking)
        await asyncio.gather(*(stepped(engine, task) for task in talking))


async def test_a_warm_prefix_that_was_preempted_is_kept_whole(engine_of: EngineFactory) -> None:
    with engine_of(is_started=False, num_slots=1) as engine:
        warming = asyncio.create_task(engine.warm_prefix(PROMPT[:50], key="ada"))
        await begin(engine, warming, 2)  # type: ignore[arg-type]
        await stepped(engine, asyncio.create_task(say(engine, PROMPT[::-1])))
        assert not warming.done()
        await stepped(engine, warming)
        reply = await stepped(engine, asyncio.create_task(say(engine, PROMPT)))
    assert engine.stats()["preemptions"] == 1
    assert reply.stats.cached_tokens == 50
    with engine_of() as engine:
        assert (await say(engine, PROMPT)).token_ids == reply.token_ids


async def test_a_preempted_grammar_goes_on_where_it_was(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    compiler = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
    params = replace(WARM, constraint=compiler.regex("[a-z]{12,20}"))
    with engine_of() as engine:
        expected = await say(engine, PROMPT, params)
    with engine_of(is_started=False, num_slots=1) as engine:
        npc = asyncio.create_task(say(engine, PROMPT, params, priority=Priority.NPC))
        await begin(engine, npc, 7)
        await stepped(engine, asyncio.create_task(say(engine, PROMPT[:9])))
        reply = await stepped(engine, npc)
    assert reply.stats.num_preemptions == 1
    assert (reply.token_ids, reply.text) == (expected.token_ids, expected.text)


async def test_an_aged_character_keeps_its_slot_and_goes_before_new_players(engine_of: EngineFactory) -> None:
    clock = Clock()
    with engine_of(is_started=False, num_slots=1, clock=clock) as engine:
        first = asyncio.create_task(say(engine, PROMPT))
        await begin(engine, first)
        npc = asyncio.create_task(say(engine, PROMPT, priority=Priority.NPC))
        await begin(engine, npc)
        clock.now_s = AGEING_S + 0.1
        player = asyncio.create_task(say(engine, PROMPT))
        await begin(engine, player)
        await stepped(engine, npc)
        assert first.done()
        assert not player.done()
        assert (await stepped(engine, player)).stats.num_preemptions == 0
        assert npc.result().stats.num_preemptions == 0


# --- deadlines -----------------------------------------------------------------------------------


async def test_a_deadline_that_passes_in_the_queue_raises(engine_of: EngineFactory) -> None:
    clock = Clock()
    with engine_of(is_started=False, num_slots=1, clock=clock) as engine:
        first = asyncio.create_task(say(engine, PROMPT))
        await begin(engine, first)
        late = asyncio.create_task(say(engine, PROMPT, deadline_s=2.0))
        await begin(engine, late)
        clock.now_s = 1.9
        await begin(engine, late)
        assert not late.done()
        clock.now_s = 2.0
        with pytest.raises(DeadlineExceeded) as caught:
            await stepped(engine, late)
        assert caught.value.retry_after_s > 0
        assert (await stepped(engine, first)).stats.finish_reason == "length"
        assert engine.metrics.requests.total == 2


async def test_a_deadline_that_passes_while_running_keeps_what_was_said(engine_of: EngineFactory) -> None:
    clock = Clock()
    with engine_of() as engine:
        whole = await say(engine, PROMPT)
    with engine_of(is_started=False, clock=clock) as engine:
        task = asyncio.create_task(say(engine, PROMPT, deadline_s=2.0, talk="a"))
        await begin(engine, task, 9)
        clock.now_s = 2.0
        reply = await stepped(engine, task)
        assert reply.stats.finish_reason == "deadline"
        assert 0 < len(reply.token_ids) < 24
        assert reply.token_ids == whole.token_ids[: len(reply.token_ids)]
        following = await stepped(engine, asyncio.create_task(say(engine, PROMPT, talk="a")))
        assert following.stats.cached_tokens == 59
        assert following.token_ids == whole.token_ids


async def test_a_deadline_that_passes_during_the_prompt_ends_without_text(engine_of: EngineFactory) -> None:
    clock = Clock()
    with engine_of(is_started=False, clock=clock) as engine:
        task = asyncio.create_task(say(engine, PROMPT, deadline_s=2.0))
        await begin(engine, task, 2)
        clock.now_s = 2.0
        reply = await stepped(engine, task)
    assert (reply.text, reply.token_ids, reply.stats.finish_reason) == ("", [], "deadline")


async def test_a_preempted_character_that_runs_late_keeps_what_it_said(engine_of: EngineFactory) -> None:
    clock = Clock()
    with engine_of(is_started=False, num_slots=1, clock=clock) as engine:
        npc = asyncio.create_task(say(engine, PROMPT, priority=Priority.NPC, deadline_s=3.0))
        await begin(engine, npc, 8)
        player = asyncio.create_task(say(engine, PROMPT))
        await begin(engine, player)
        clock.now_s = 3.0
        reply = await stepped(engine, npc)
        assert not player.done()
        assert (reply.stats.finish_reason, reply.stats.num_preemptions, bool(reply.text)) == ("deadline", 1, True)
        await stepped(engine, player)


async def test_who_would_wait_too_long_is_refused_at_once(engine_of: EngineFactory) -> None:
    clock = Clock()
    with engine_of(is_started=False, num_slots=1, clock=clock) as engine:
        for _ in range(2):
            task = asyncio.create_task(say(engine, PROMPT))
            await begin(engine, task)
            clock.now_s += 4.0
            await stepped(engine, task)
        await begin(engine, asyncio.create_task(say(engine, PROMPT)))
        with pytest.raises(Overloaded) as caught:
            await say(engine, PROMPT, deadline_s=3.0)
        assert not isinstance(caught.value, DeadlineExceeded)
        assert caught.value.retry_after_s == 4.0
        assert engine.metrics.rejected.total == 1


# --- cancelling and failing ----------------------------------------------------------------------


async def test_a_cancel_frees_the_slot_between_the_runs_of_a_step(engine_of: EngineFactory) -> None:
    with engine_of(is_started=False) as engine:
        task = asyncio.create_task(say(engine, PROMPT[:9]))
        other = asyncio.create_task(say(engine, PROMPT * 3))
        await begin(engine, task, 3)
        whole = engine.decoder.prefill

        def cancelled_meanwhile(*args: object, **kwargs: object) -> object:
            for sequence in engine._scheduler.running:
                if sequence.num_prompt_tokens == 9:
                    engine._cancel(sequence)
            return whole(*args, **kwargs)  # type: ignore[arg-type]

        engine.decoder.prefill = cancelled_meanwhile  # type: ignore[method-assign, assignment]
        engine.step()
        engine.decoder.prefill = whole  # type: ignore[method-assign]
        assert engine.stats()["slots_active"] == 1
        assert len(engine.cancel_times_s()) == 1
        assert (await stepped(engine, task)).stats.finish_reason == "cancelled"
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def test_stopping_a_shared_step_harms_nobody_who_shares_it(engine_of: EngineFactory) -> None:
    clock = Clock()
    with engine_of() as engine:
        expected = [await say(engine, PROMPT[n:]) for n in range(3)]
    with engine_of(is_started=False, clock=clock) as engine:
        tasks = [asyncio.create_task(say(engine, PROMPT[n:])) for n in range(3)]
        while len(engine._scheduler.running) < 3 or not all(each.output_ids for each in engine._scheduler.running):
            await begin(engine, tasks[0])
        engine._stepper._costs.saw_decode(3, 0.5)  # the step is a long one, as of a large model
        victim = next(each for each in engine._scheduler.running if each.num_prompt_tokens == 59)
        whole, before = engine.decoder.decode, [len(each.output_ids) for each in engine._scheduler.running]

        def cancelled_meanwhile(*args: object, **kwargs: object) -> object:
            engine._cancel(victim)
            return whole(*args, **kwargs)  # type: ignore[arg-type]

        engine.decoder.decode = cancelled_meanwhile  # type: ignore[method-assign, assignment]
        engine.step()
        engine.decoder.decode = whole  # type: ignore[method-assign]
        assert [len(each.output_ids) for each in engine._scheduler.running] == before, "the step was stopped"
        replies = [await stepped(engine, task) for task in tasks]
    assert replies[1].stats.finish_reason == "cancelled"
    assert [replies[n].token_ids for n in (0, 2)] == [expected[n].token_ids for n in (0, 2)]


async def test_a_failed_run_harms_nobody_outside_it(engine_of: EngineFactory) -> None:
    with engine_of() as engine:
        expected = await say(engine, PROMPT)
    with engine_of(is_started=False, num_slots=3) as engine:
        sound = asyncio.create_task(say(engine, PROMPT))
        await begin(engine, sound, 6)
        broken = asyncio.create_task(say(engine, PROMPT[::-1]))
        waiting = asyncio.create_task(say(engine, PROMPT))
        await begin(engine, broken)
        sequence = next(each for each in engine._scheduler.running if each.token_ids[0] == PROMPT[-1])
        sequence.held_slot.index += 100  # no such row in the pool
        with pytest.raises(InternalError):
            await stepped(engine, broken)
        engine.decoder.kv.slots[1].index = 1
        assert (await stepped(engine, sound)).token_ids == expected.token_ids
        assert (await stepped(engine, waiting)).token_ids == expected.token_ids
