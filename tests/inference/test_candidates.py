"""Several replies to one prompt, scores of given ones, and going on from either."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from npc_engine.errors import DeadlineExceeded, InvalidConstraint, RequestError
from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.engine import InferenceEngine, _num_shared
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.sequence import Priority
from tests.inference.conftest import EngineFactory
from tests.inference.talking import GREEDY, PROMPT, WARM, collect, say, stepped

PARAMS = [
    GREEDY,
    WARM,
    replace(WARM, seed=12, max_new_tokens=3),
    replace(WARM, seed=13, repetition_penalty=1.3),
    replace(WARM, seed=14, stop=("e",)),
    replace(WARM, seed=15, max_new_tokens=1),
]


def reference_logprob(engine: InferenceEngine, prompt: tuple[int, ...], token_ids: tuple[int, ...]) -> float:
    """Token by token on the bare decoder, in the last slot of an engine that is not started."""
    total, known = 0.0, list(prompt)
    for token_id in token_ids:
        logits = None
        for start in range(0, len(known), 16):
            logits = engine.decoder.prefill(3, known[start : start + 16], num_cached_tokens=start)
        assert logits is not None
        row = logits.full[0].astype(np.float64)
        total += row[token_id] - np.log(np.exp(row - row.max()).sum()) - row.max()
        known.append(token_id)
    return total


@pytest.mark.parametrize("num_slots", [1, 2, 4, 8])
async def test_each_candidate_is_what_it_would_be_alone(engine_of: EngineFactory, num_slots: int) -> None:
    with engine_of(prefix_store_bytes=0) as engine:
        alone = [await say(engine, PROMPT, params) for params in PARAMS]
    with engine_of(num_slots=num_slots) as engine:
        made = await engine.candidates(PROMPT, PARAMS)
        assert engine.stats()["slots_active"] == engine.stats()["waiting"] == 0
    assert [list(each.token_ids) for each in made] == [reply.token_ids for reply in alone]
    assert [each.text for each in made] == [reply.text for reply in alone]
    assert [each.finish_reason for each in made] == [reply.stats.finish_reason for reply in alone]
    assert made[0].stats.cached_tokens == 0
    assert {each.stats.cached_tokens for each in made[1:]} == {60}


async def test_the_prompt_is_run_once_and_each_step_is_shared(
    engine_of: EngineFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_of(is_started=False) as engine:
        ran: list[int] = []
        for name in ("prefill", "decode"):
            whole = getattr(engine.decoder, name)

            def counting(*args: object, whole: object = whole, **kwargs: object) -> object:
                ran.append(len(args[1]))  # type: ignore[arg-type]
                return whole(*args, **kwargs)  # type: ignore[operator]

            monkeypatch.setattr(engine.decoder, name, counting)
        params = [replace(WARM, seed=seed, max_new_tokens=8) for seed in range(4)]
        made = await stepped(engine, asyncio.create_task(engine.candidates(PROMPT, params)))
    lengths = [each.stats.output_tokens for each in made]
    assert max(lengths) == 8
    # Four chunks; the leader's first step goes before the others have their copies.
    assert ran[:4] == [16, 16, 16, 12]
    assert len(ran) <= 4 + 8
    assert sum(ran[4:]) == sum(lengths) - len(lengths), "every token but each one's last is run once"


@pytest.mark.parametrize("chosen", range(3))
async def test_going_on_from_a_candidate_runs_one_token(engine_of: EngineFactory, chosen: int) -> None:
    params = [replace(WARM, seed=seed, max_new_tokens=12) for seed in range(3)]
    with engine_of(prefix_store_bytes=0) as engine:
        made = await engine.candidates(PROMPT, params, conversation_id="a")
        follow = (*PROMPT, *made[chosen].token_ids)
        more = await say(engine, follow, talk="a")
        assert more.stats.cached_tokens == len(follow) - 1
        assert engine.stats()["slots_parked"] == 1, "the others' slots are given up"
    with engine_of() as engine:
        assert (await say(engine, follow)).token_ids == more.token_ids


async def test_candidates_of_a_preempted_character_are_unharmed(engine_of: EngineFactory) -> None:
    params = [replace(WARM, seed=seed) for seed in range(3)]
    with engine_of() as engine:
        expected = [each.token_ids for each in await engine.candidates(PROMPT, params)]
    with engine_of(is_started=False, num_slots=2) as engine:
        task = asyncio.create_task(engine.candidates(PROMPT, params, priority=Priority.NPC))
        await asyncio.sleep(0)
        for _ in range(6):
            engine.step()
            await asyncio.sleep(0)
        players = [asyncio.create_task(say(engine, PROMPT[n:])) for n in (3, 4)]
        await asyncio.sleep(0)
        for player in players:
            await stepped(engine, player)
        assert not task.done()
        assert engine.stats()["preemptions"] >= 2
        assert [each.token_ids for each in await stepped(engine, task)] == expected


@pytest.mark.parametrize("steps", [0, 2, 4, 6])
async def test_cancelling_ends_them_all(engine_of: EngineFactory, steps: int) -> None:
    with engine_of(is_started=False, num_slots=2) as engine:
        task = asyncio.create_task(engine.candidates(PROMPT, PARAMS, conversation_id="a"))
        await asyncio.sleep(0)
        for _ in range(steps):
            engine.step()
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        engine.step()
        assert not engine._scheduler.has_work
        assert not engine._stepper.streams
        again = await stepped(engine, asyncio.create_task(say(engine, PROMPT)))
    with engine_of() as engine:
        assert (await say(engine, PROMPT)).token_ids == again.token_ids


async def test_a_candidate_under_a_grammar_beside_a_free_one(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    compiler = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
    params = [
        replace(GREEDY, constraint=compiler.choices(["The sword and the shield"])),
        GREEDY,
        replace(GREEDY, constraint=compiler.regex("[0-9]{2} gold")),
    ]
    with engine_of() as engine:
        alone = [await say(engine, PROMPT, each) for each in params]
        made = await engine.candidates(PROMPT, params)
    assert [each.text for each in made] == [reply.text for reply in alone]
    assert made[0].text == "The sword and the shield"


async def test_what_cannot_be_asked_for(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    compiler = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
    with engine_of() as engine:
        for wrong in (engine.candidates(PROMPT, []), engine.score(PROMPT, []), engine.score(PROMPT, [(5,), ()])):
            with pytest.raises(RequestError):
                await wrong
        with pytest.raises(RequestError):
            await engine.score(PROMPT, [(400,)])
        with pytest.raises(InvalidConstraint):
            compiler.lark('start: "a" nowhere')
        assert (await say(engine, PROMPT)).stats.output_tokens == 24


async def test_logprobs_are_the_models_own(engine_of: EngineFactory, tokenizer: Tokenizer) -> None:
    params = replace(WARM, max_new_tokens=6, repetition_penalty=1.2, logprobs=True)
    with engine_of() as engine:
        (made,) = await engine.candidates(PROMPT, [params])
        reply = await say(engine, PROMPT, params)
        silent = await say(engine, PROMPT, replace(params, logprobs=False))
        (scored,) = await engine.score(PROMPT, [made.token_ids])
    each = [logprob for delta in reply.deltas for logprob in delta.logprobs]
    assert len(each) == len(reply.token_ids)
    assert not any(delta.logprobs for delta in silent.deltas)
    with engine_of(is_started=False) as engine:
        expected = reference_logprob(engine, PROMPT, made.token_ids)
    assert expected < -1
    assert [made.logprob, sum(each), scored] == pytest.approx([expected] * 3, abs=1e-3)


async def test_under_a_grammar_the_allowed_tokens_probabilities_sum_to_one(
    engine_of: EngineFactory, tokenizer: Tokenizer
) -> None:
    compiler = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
    constraint = compiler.regex("[xyz]")
    allowed = np.flatnonzero(constraint.start().allowed).tolist()
    with engine_of() as engine:
        free = await engine.score(PROMPT, [(token_id,) for token_id in allowed])
        params = SamplingParams(temperature=0, constraint=constraint, max_new_tokens=4)
        (made,) = await engine.candidates(PROMPT, [params])
    among = np.array(free) - np.log(np.exp(free).sum())
    assert made.logprob == pytest.approx(among[allowed.index(made.token_ids[0])], abs=1e-3)


@pytest.mark.parametrize("num_slots", [1, 4])
async def test_scores_equal_the_bare_decoders(engine_of: EngineFactory, num_slots: int) -> None:
    continuations = [(5, 6, 7), (5, 6, 8, 9), (5, 6), (5, 2, 7), (5, 6, 7)]
    with engine_of(num_slots=num_slots) as engine:
        scores = await engine.score(PROMPT, continuations)
        kept = await engine.score(PROMPT, [(5,)], conversation_id="a")
        assert engine.stats()["slots_parked"] == 1
        again = await say(engine, PROMPT, talk="a")
    assert again.stats.cached_tokens == 59
    with engine_of(is_started=False) as engine:
        expected = [reference_logprob(engine, PROMPT, each) for each in continuations]
        assert kept == pytest.approx([reference_logprob(engine, PROMPT, (5,))], abs=1e-3)
    assert scores == pytest.approx(expected, abs=1e-3)


async def test_a_score_leaves_nothing_behind_and_its_deadline_raises(engine_of: EngineFactory) -> None:
    now_s = 0.0
    with engine_of(is_started=False, clock=lambda: now_s) as engine:
        task = asyncio.create_task(engine.score(PROMPT, [(5, 6), (7, 8)]))
        await asyncio.sleep(0)
        await stepped(engine, task)
        engine.step()
        assert (engine.stats()["slots_active"], engine.stats()["slots_parked"]) == (0, 0)
        late = asyncio.create_task(engine.score(PROMPT, [(5, 6), (7, 8)], deadline_s=3.0))
        await asyncio.sleep(0)
        engine.step()
        now_s = 3.0
        with pytest.raises(DeadlineExceeded):
            await stepped(engine, late)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=5).map(tuple), min_size=1, max_size=4))
def test_what_continuations_share_leaves_a_token_of_each(scripts: list[tuple[int, ...]]) -> None:
    shared = _num_shared(scripts)
    assert all(len(script) > shared for script in scripts)
    assert len({script[:shared] for script in scripts}) == 1
    if len(scripts) > 1 and all(len(script) > shared + 1 for script in scripts):
        assert len({script[shared] for script in scripts}) > 1


async def test_rolling_back_runs_one_token_and_equals_never_generated(engine_of: EngineFactory) -> None:
    with engine_of(prefix_store_bytes=0) as engine:
        reply = await say(engine, PROMPT, WARM, talk="a")
        for kept in (20, 7, 0):
            shorter = (*PROMPT, *reply.token_ids[:kept])
            back = await say(engine, shorter, replace(WARM, seed=5), talk="a")
            assert back.stats.prompt_tokens - back.stats.cached_tokens == 1
            with engine_of() as fresh:
                assert (await say(fresh, shorter, replace(WARM, seed=5))).token_ids == back.token_ids


async def test_a_turn_sent_right_after_the_last_one_was_closed_finds_its_slot(engine_of: EngineFactory) -> None:
    with engine_of(prefix_store_bytes=0, num_slots=1) as engine:
        expected = await say(engine, (*PROMPT, 5))
    with engine_of(prefix_store_bytes=0) as engine:
        for _ in range(30):
            stream = engine.generate(PROMPT, replace(WARM, max_new_tokens=100), conversation_id="a")
            await anext(stream)
            await stream.aclose()
            following = await collect(engine.generate((*PROMPT, 5), GREEDY, conversation_id="a"))
            assert following.stats.cached_tokens == 60
            assert following.token_ids == expected.token_ids
            assert engine.stats()["slots_parked"] == 1, "it ran in the slot itself, not in a copy"
