from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest
from tokenizers import Tokenizer

from npc_engine.errors import ContextTooLong, InternalError, InvalidConstraint, Overloaded, RequestError
from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sampler import SamplingParams
from tests.inference.conftest import EngineFactory
from tests.inference.talking import GREEDY, PROMPT, WARM, say, stepped


async def test_the_last_delta_and_only_it_has_the_stats(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    with engine_of() as engine:
        reply = await say(engine, PROMPT)
    assert [delta.finish_reason for delta in reply.deltas[:-1]] == [None] * (len(reply.deltas) - 1)
    assert all(delta.text for delta in reply.deltas[:-1])
    stats = reply.stats
    assert (stats.prompt_tokens, stats.cached_tokens, stats.finish_reason) == (60, 0, "length")
    assert stats.output_tokens == len(reply.token_ids) == 24
    assert 0 < stats.prefill_time_s <= stats.time_to_first_token_s
    assert reply.text == tokenizer.decode(reply.token_ids)
    assert len(set(reply.token_ids)) > 3, "the stub says one token for ever and shows nothing"


@pytest.mark.parametrize("params", [GREEDY, WARM], ids=["greedy", "sampled"])
async def test_batched_equals_alone(engine_of: EngineFactory, params: SamplingParams) -> None:
    prompts = [PROMPT, PROMPT[:7], PROMPT[20:], PROMPT[:33], PROMPT[5:9], PROMPT[::-1]]
    with engine_of(prefix_store_bytes=0) as engine:
        alone = [await say(engine, prompt, params) for prompt in prompts]
    with engine_of() as engine:
        together = await asyncio.gather(*(say(engine, prompt, params) for prompt in prompts))
    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in alone]
    assert [reply.text for reply in together] == [reply.text for reply in alone]


@pytest.mark.parametrize("chunk", [8, 17, 64])
async def test_chunked_equals_whole(engine_of: EngineFactory, chunk: int) -> None:
    with engine_of(prefill_chunk_tokens=128) as engine:
        whole = await say(engine, PROMPT)
    with engine_of(prefill_chunk_tokens=chunk) as engine:
        assert (await say(engine, PROMPT)).token_ids == whole.token_ids


async def test_a_second_turn_equals_cold(engine_of: EngineFactory) -> None:
    with engine_of() as engine:
        first = await say(engine, PROMPT, talk="a")
        follow = (*PROMPT, *first.token_ids, 9, 10, 11)
        cached = await say(engine, follow, talk="a")
    assert cached.stats.cached_tokens == 60 + 23
    with engine_of() as engine:
        cold = await say(engine, follow)
    assert cold.stats.cached_tokens == 0
    assert cached.token_ids == cold.token_ids


async def test_a_warm_prefix_equals_cold(engine_of: EngineFactory) -> None:
    with engine_of() as engine:
        cold = await say(engine, PROMPT)
        await engine.warm_prefix(PROMPT[:50], key="ada")
        warm = await say(engine, PROMPT)
        assert engine.stats()["prefix_entries"] == 1
        engine.drop_prefix("ada")
        dropped = await say(engine, PROMPT)
    assert (warm.stats.cached_tokens, dropped.stats.cached_tokens) == (50, 0)
    assert cold.token_ids == warm.token_ids == dropped.token_ids


async def test_many_talks_over_few_slots_equal_each_alone(engine_of: EngineFactory) -> None:
    async def talk(engine: InferenceEngine, name: int) -> list[list[int]]:
        history, replies = (*PROMPT[:20], 30 + name), []
        for _ in range(3):
            reply = await say(engine, history, WARM, talk=str(name))
            replies.append(reply.token_ids)
            history = (*history, *reply.token_ids, 40 + name)
        return replies

    with engine_of(num_slots=2) as engine:
        await engine.warm_prefix(PROMPT[:20], key="ada")
        together = await asyncio.gather(*(talk(engine, name) for name in range(6)))
    for name in range(6):
        with engine_of(prefix_store_bytes=0) as engine:
            assert await talk(engine, name) == together[name]


async def test_same_seed_same_ids_and_greedy_ignores_it(engine_of: EngineFactory) -> None:
    def params(temperature: float, seed: int) -> SamplingParams:
        return SamplingParams(temperature=temperature, top_p=1.0, seed=seed, max_new_tokens=24)

    with engine_of() as engine:
        runs = [(await say(engine, PROMPT, params(1.5, seed))).token_ids for seed in (1, 1, 2)]
        greedy = [(await say(engine, PROMPT, params(0, seed))).token_ids for seed in (1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert greedy[0] == greedy[1]


async def test_stop_texts_stop_ids_and_end_tokens(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    with engine_of() as engine:
        whole = await say(engine, PROMPT)
        stop = whole.text[3:5]
        cut = await say(engine, PROMPT, SamplingParams(temperature=0, max_new_tokens=24, stop=(stop,)))
        token_id = whole.token_ids[4]
        ended = await say(
            engine, PROMPT, SamplingParams(temperature=0, max_new_tokens=24, stop_ids=frozenset({token_id}))
        )
    assert cut.text == whole.text.split(stop)[0]
    assert ended.token_ids == whole.token_ids[: whole.token_ids.index(token_id) + 1]
    assert ended.text == tokenizer.decode(ended.token_ids[:-1])
    assert (cut.stats.finish_reason, ended.stats.finish_reason) == ("stop", "stop")


async def test_a_constrained_reply_is_always_valid_json(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    compiler = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
    schema = {
        "type": "object",
        "properties": {"action": {"enum": ["give", "wave"]}, "amount": {"type": "integer", "maximum": 9, "minimum": 0}},
        "required": ["action", "amount"],
        "additionalProperties": False,
    }
    constraint = compiler.json_schema(schema)
    with engine_of() as engine:
        replies = await asyncio.gather(
            say(engine, PROMPT),
            *(
                say(engine, PROMPT, SamplingParams(temperature=5, seed=seed, max_new_tokens=60, constraint=constraint))
                for seed in range(12)
            ),
        )
        plain = await say(engine, PROMPT)
    assert replies[0].token_ids == plain.token_ids
    for reply in replies[1:]:
        assert reply.stats.finish_reason == "stop"
        assert set(json.loads(reply.text)) == {"action", "amount"}


@pytest.mark.parametrize("steps", range(9))
async def test_a_cancel_at_any_step_leaves_the_next_turn_as_if_it_never_was(
    engine_of: EngineFactory, steps: int
) -> None:
    follow = (*PROMPT, 9, 10)
    with engine_of(is_started=False) as engine:
        task = asyncio.create_task(say(engine, PROMPT, WARM, talk="a"))
        await asyncio.sleep(0)
        for _ in range(steps):  # 0: waiting; 1 to 3: between prompt chunks; later: decoding
            engine.step()
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        engine.step()
        assert (engine.stats()["running"], engine.stats()["slots_active"]) == (0, 0)
        after = await stepped(engine, asyncio.create_task(say(engine, follow, WARM, talk="a")))
        assert after.stats.cached_tokens == min(16 * steps, 60)
    with engine_of(is_started=False) as engine:
        never = await stepped(engine, asyncio.create_task(say(engine, follow, WARM, talk="a")))
    assert after.token_ids == never.token_ids


async def test_cancels_racing_a_running_prefill_leave_the_cache_valid(engine_of: EngineFactory) -> None:
    prompt = PROMPT * 4
    with engine_of(max_context_tokens=512, prefill_chunk_tokens=256) as engine:
        expected = await say(engine, prompt)
        for attempt in range(40):
            task = asyncio.create_task(say(engine, prompt[attempt:], talk="a"))
            for _ in range(attempt):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        again = await say(engine, prompt, talk="a")
        neighbour = await say(engine, PROMPT)
    assert again.token_ids == expected.token_ids
    assert neighbour.stats.finish_reason == "length"


async def test_closing_the_stream_cancels(engine_of: EngineFactory) -> None:
    with engine_of() as engine:
        async with aclosing(engine.generate(PROMPT, GREEDY, conversation_id="a")) as deltas:
            async for _ in deltas:
                break
        reply = await say(engine, PROMPT, talk="a")
        assert engine.metrics.requests.total == 2
        assert engine.stats()["running"] == 0
    assert reply.stats.cached_tokens == 59


async def test_a_cancelled_waiting_request_leaves_the_queue(engine_of: EngineFactory) -> None:
    with engine_of(is_started=False, num_slots=1) as engine:
        first = asyncio.create_task(say(engine, PROMPT))
        second = asyncio.create_task(say(engine, PROMPT[::-1]))
        await asyncio.sleep(0)
        engine.step()
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        engine.step()
        assert (engine.stats()["running"], engine.stats()["waiting"]) == (1, 0)
        assert (await stepped(engine, first)).stats.finish_reason == "length"


async def test_a_full_queue_refuses_and_the_others_go_on(engine_of: EngineFactory) -> None:
    with engine_of(is_started=False, num_slots=1, max_waiting=2) as engine:
        tasks = [asyncio.create_task(say(engine, PROMPT)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await tasks[2]
        assert caught.value.retry_after_s > 0
        replies = [await stepped(engine, task) for task in tasks[:2]]
        assert replies[0].token_ids == replies[1].token_ids
        assert engine.metrics.rejected.total == 1


@pytest.mark.parametrize(
    ("prompt", "error"),
    [((), RequestError), ((400,), RequestError), ((-1,), RequestError), (PROMPT * 4, ContextTooLong)],
    ids=["empty", "id too large", "id below 0", "too long"],
)
async def test_a_bad_prompt_is_refused(
    engine_of: EngineFactory, prompt: tuple[int, ...], error: type[RequestError]
) -> None:
    with engine_of() as engine:
        with pytest.raises(error):
            await say(engine, prompt)
        assert (await say(engine, PROMPT)).stats.output_tokens == 24


async def test_a_grammar_that_outgrows_its_limits_harms_nobody_else(
    engine_of: EngineFactory, tokenizer: Tokenizer
) -> None:
    with engine_of(is_started=False) as engine:
        compiler = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
        params = SamplingParams(temperature=0, max_new_tokens=8, constraint=compiler.choices(["aye aye", "nay nay"]))
        broken, sound = (asyncio.create_task(say(engine, PROMPT, each)) for each in (params, GREEDY))
        await asyncio.sleep(0)
        # A token that the grammar does not allow puts its matcher in the state of an outgrown limit.
        engine._scheduler.collect()
        sequence = engine._scheduler.waiting[0]
        assert sequence.constraint is not None
        sequence.constraint.allowed[:] = False
        sequence.constraint.allowed[3] = True
        assert (await stepped(engine, sound)).stats.output_tokens == 24
        with pytest.raises(RequestError, match="constrained decoding failed"):
            await broken
        assert engine.stats()["slots_active"] == 0


async def test_a_grammar_with_a_dead_end_fails_alone(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    compiler = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
    dead_end = compiler.lark('start: "x" A\nA: /a+/ & /b+/')
    with engine_of() as engine:
        plain = await say(engine, PROMPT)
        broken, sound = await asyncio.gather(
            say(engine, PROMPT, SamplingParams(temperature=0, constraint=dead_end)),
            say(engine, PROMPT),
            return_exceptions=True,
        )
        assert isinstance(broken, InvalidConstraint)
        assert sound.token_ids == plain.token_ids  # type: ignore[union-attr]
        assert engine.stats()["slots_active"] == 0


async def test_a_prefix_too_large_for_the_budget_is_logged_and_prompts_start_cold(
    engine_of: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with engine_of(prefix_store_bytes=1000) as engine:
        await engine.warm_prefix(PROMPT, key="ada")
        assert (await say(engine, PROMPT)).stats.cached_tokens == 0
    assert "'ada' (60 tokens) does not fit prefix_store_bytes" in caplog.text


async def test_close_fails_what_is_pending_and_may_be_called_again(engine_of: EngineFactory) -> None:
    with engine_of(is_started=False, num_slots=1) as engine:
        tasks = [asyncio.create_task(say(engine, PROMPT)) for _ in range(2)]
        await asyncio.sleep(0)
        engine.step()
        engine.close()
        for task in tasks:
            with pytest.raises(RequestError, match="engine was closed"):
                await task
        engine.close()
        with pytest.raises(RequestError, match="engine was closed"):
            await say(engine, PROMPT)


async def test_close_of_a_busy_engine_joins_its_thread(engine_of: EngineFactory) -> None:
    with engine_of(max_context_tokens=512) as engine:
        tasks = [
            asyncio.create_task(say(engine, PROMPT[: 9 + n], SamplingParams(temperature=0, max_new_tokens=400)))
            for n in range(8)
        ]
        await asyncio.sleep(0)
        engine.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, RequestError) for result in results)


async def test_a_failed_run_is_told_to_its_callers_and_the_engine_goes_on(
    engine_of: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with engine_of() as engine:
        slots = engine.decoder.kv.slots
        for slot in slots:
            slot.index += 100  # no such row in the pool
        with pytest.raises(InternalError):
            await say(engine, PROMPT)
        for slot in slots:
            slot.index -= 100
        assert (await say(engine, PROMPT)).stats.output_tokens == 24
    assert "a step of the inference engine failed" in caplog.text


async def test_metrics_and_stats_count_what_happened(engine_of: EngineFactory) -> None:
    with engine_of() as engine:
        await say(engine, PROMPT, talk="a")
        await say(engine, PROMPT, talk="a")
        stats = engine.stats()
        text = engine.metrics.render()
        engine.release("a")
        await say(engine, PROMPT[:5])
        assert engine.stats()["slots_parked"] == 0
    assert (stats["slots"], stats["slots_parked"]) == (4, 1)
    assert (stats["prompt_tokens"], stats["cached_tokens"], stats["output_tokens"]) == (120, 59, 48)
    assert 'npc_requests_total{finish_reason="length"} 2' in text
    assert "npc_time_to_first_token_seconds_count 2" in text
