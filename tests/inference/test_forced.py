"""Tokens that a grammar leaves no choice about are not sampled, and cost few runs or none."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from npc_engine.inference.constraint import Constraint, ConstraintCompiler
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sampler import SamplingParams
from tests.inference.conftest import EngineFactory
from tests.inference.talking import GREEDY, PROMPT, Reply, say

CALL = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "action": {"const": name},
                "item": {"enum": ["sword of steel", "shield", "arrows"]},
                "amount": {"type": "integer", "minimum": 1, "maximum": 99},
            },
            "required": ["action", "item", "amount"],
            "additionalProperties": False,
        }
        for name in ("sell_item", "look_up_price")
    ]
}


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> ConstraintCompiler:
    return ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))


async def counted(engine: InferenceEngine, params: SamplingParams) -> tuple[Reply, int]:
    """A reply from an engine stepped by hand, and how many runs of the decoder it took."""
    runs = 0
    task = asyncio.create_task(say(engine, PROMPT, params))
    await asyncio.sleep(0)
    for name in ("prefill", "decode"):

        def counting(*args: object, run: object = getattr(engine.decoder, name), **kwargs: object) -> object:
            nonlocal runs
            runs += 1
            return run(*args, **kwargs)  # type: ignore[operator]

        setattr(engine.decoder, name, counting)
    while not task.done():
        engine.step()
        await asyncio.sleep(0)
    return task.result(), runs


def is_a_path(constraint: Constraint, token_ids: list[int]) -> bool:
    """Whether sampling under the grammar's masks alone could have taken these tokens."""
    state = constraint.start()
    for token_id in token_ids:
        if state.is_finished or not state.allowed[token_id]:
            return False
        state.advance(token_id)
    return state.is_finished


async def test_a_text_without_any_choice_takes_no_run_but_the_prompts(
    engine_of: EngineFactory, compiler: ConstraintCompiler, tokenizer: Tokenizer
) -> None:
    text = "The sword is made of good steel and costs forty gold"
    with engine_of(is_started=False) as engine:
        params = replace(GREEDY, max_new_tokens=60, constraint=compiler.choices([text]), logprobs=True)
        reply, runs = await counted(engine, params)
    assert (reply.text, reply.stats.finish_reason) == (text, "stop")
    assert reply.token_ids == tokenizer.encode(text).ids
    assert reply.stats.forced_tokens == len(reply.token_ids) > 10
    assert runs <= -(-60 // 16)
    assert {logprob for delta in reply.deltas for logprob in delta.logprobs} == {0.0}


@settings(deadline=None, max_examples=15)
@given(temperature=st.sampled_from([0.0, 1.0, 5.0]), seed=st.integers(0, 1000))
def test_a_call_with_forced_tokens_is_one_that_sampling_could_have_made(
    engine_of: EngineFactory, compiler: ConstraintCompiler, tokenizer: Tokenizer, temperature: float, seed: int
) -> None:
    constraint = compiler.json_schema(CALL)
    params = SamplingParams(temperature=temperature, seed=seed, max_new_tokens=90, constraint=constraint)

    async def talk() -> tuple[Reply, int]:
        with engine_of(is_started=False) as engine:
            return await counted(engine, params)

    reply, runs = asyncio.run(talk())
    call = json.loads(reply.text)
    assert set(call) == {"action", "item", "amount"}
    assert reply.text == json.dumps(call, separators=(",", ":"))
    assert is_a_path(constraint, reply.token_ids)
    assert tokenizer.decode(reply.token_ids) == reply.text
    assert reply.stats.forced_tokens > 10
    assert runs < 4 + reply.stats.output_tokens - reply.stats.forced_tokens + 12


async def test_what_is_run_in_chunks_equals_what_is_decoded(
    engine_of: EngineFactory, compiler: ConstraintCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = SamplingParams(temperature=3, seed=5, max_new_tokens=90, constraint=compiler.json_schema(CALL))
    replies = []
    for least in (2, 3, 1000):
        monkeypatch.setattr("npc_engine.inference.scheduler.FORCED_CHUNK_TOKENS", least)
        with engine_of(is_started=False) as engine:
            replies.append(await counted(engine, params))
    assert replies[0][0].token_ids == replies[1][0].token_ids == replies[2][0].token_ids
    assert replies[0][1] <= replies[1][1] < replies[2][1], "more chunks, fewer runs"


async def test_calls_side_by_side_equal_each_alone(engine_of: EngineFactory, compiler: ConstraintCompiler) -> None:
    params = [
        SamplingParams(temperature=3, seed=seed, max_new_tokens=90, constraint=compiler.json_schema(CALL))
        for seed in range(6)
    ]
    with engine_of(prefix_store_bytes=0) as engine:
        alone = [await say(engine, PROMPT, each) for each in params]
    with engine_of() as engine:
        together = await asyncio.gather(*(say(engine, PROMPT, each) for each in params))
    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in alone]


async def test_the_token_limit_and_stop_texts_cut_forced_text_too(
    engine_of: EngineFactory, compiler: ConstraintCompiler, tokenizer: Tokenizer
) -> None:
    constraint = compiler.choices(["The sword is made of good steel"])
    whole = tokenizer.encode("The sword is made of good steel").ids
    with engine_of() as engine:
        for limit in (1, 4, len(whole) - 1):
            cut = await say(engine, PROMPT, replace(GREEDY, max_new_tokens=limit, constraint=constraint))
            assert (cut.token_ids, cut.stats.finish_reason) == (whole[:limit], "length")
        stopped = await say(engine, PROMPT, replace(GREEDY, constraint=constraint, stop=(" made",)))
        assert (stopped.text, stopped.stats.finish_reason) == ("The sword is", "stop")
        tight = await say(engine, PROMPT * 4 + PROMPT[:10], replace(GREEDY, max_new_tokens=6, constraint=constraint))
        assert tight.token_ids == whole[:6], "prompt and reply fill the slot to the last token"


async def test_the_next_turn_after_forced_text_equals_cold(
    engine_of: EngineFactory, compiler: ConstraintCompiler
) -> None:
    params = replace(GREEDY, max_new_tokens=60, constraint=compiler.json_schema(CALL))
    with engine_of() as engine:
        call = await say(engine, PROMPT, params, talk="a")
        follow = (*PROMPT, *call.token_ids, 9)
        cached = await say(engine, follow, talk="a")
    assert cached.stats.cached_tokens >= 60
    with engine_of() as engine:
        assert (await say(engine, follow)).token_ids == cached.token_ids


def test_forced_ids_spell_the_texts_only_way_on(compiler: ConstraintCompiler, tokenizer: Tokenizer) -> None:
    state = compiler.choices(["sell the sword", "buy the sword"]).start()
    assert state.forced_ids == ()
    state.advance(tokenizer.encode("s").ids[0])
    spelled = ""
    while state.forced_ids:
        spelled += tokenizer.decode([state.forced_ids[0]])
        state.advance(state.forced_ids[0])
    assert re.fullmatch("ell the sword", spelled)
    assert state.is_finished
