"""How fast a cancelled request frees its slot, and what taking tokens back costs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import numpy as np

from npc_engine.inference.sampler import SamplingParams
from tools.inference_bench.bench import Bench, Findings, Table
from tools.inference_bench.ours import Ours, opened

# How often the engine is asked whether the slot is free: the figures' resolution.
_POLL_S = 0.0002
_GIVE_UP_S = 30.0
_SHARED = 8
_TAKEN_BACK = 6


def cancel(bench: Bench) -> Findings:
    """Time from cancelling to a free slot: in a prefill, alone in decode, one of eight in decode. And rolling back."""
    plan = bench.plan
    long_prompt = bench.texts.ids("a long story", plan.cancel_prompt_tokens)
    short = [bench.texts.ids(f"speaker {number}", plan.decode_context_tokens) for number in range(_SHARED)]
    room = -(-(plan.cancel_prompt_tokens + 256) // 256) * 256
    rng = random.Random(bench.seed)
    with opened(bench.folder, threads=bench.threads, num_slots=_SHARED, max_context_tokens=room) as ours:
        ours.warm({f"speaker {number}": prompt[:-1] for number, prompt in enumerate(short)})
        run = ours.runner.run
        # One whole run says how long there is to cancel it in.
        prefill_s = ours.first_token(long_prompt).first_s
        new_tokens = room - plan.decode_context_tokens
        times: dict[str, list[float]] = {}
        cases: dict[str, tuple[Sequence[Sequence[int]], bool]] = {
            "prefill running": ([long_prompt], False),
            "decoding alone": (short[:1], True),
            f"one of {_SHARED} decoding": (short, True),
        }
        for case, (prompts, wait) in cases.items():
            bench.say(f"cancel, {case}")
            new = new_tokens if wait else 1
            times[case] = []
            # A request that ended first is no cancellation: the next one is cancelled sooner.
            for _ in range(2 * plan.cancels):
                if len(times[case]) == plan.cancels:
                    break
                delay_s = rng.uniform(0.1, 0.7) * prefill_s
                taken = run(_cancel_one(ours, prompts, num_new=new, waits=wait, delay_s=delay_s))
                if taken is None:
                    prefill_s *= 0.8
                else:
                    times[case].append(taken)
            if not times[case]:
                raise RuntimeError(f"{case}: every request ended before it could be cancelled")
        bench.say("rollback")
        rollback = _rollback(ours, short[0])
    columns = ("case", "cancels", "p50 ms", "p95 ms", "max ms")
    rows = [
        (case, len(all_s), *(float(np.percentile(all_s, part)) * 1e3 for part in (50, 95, 100)))
        for case, all_s in times.items()
    ]
    note = f"From cancelling the task that reads the reply until the slot is free, asked every {_POLL_S * 1e3:g} ms."
    return Findings(
        tables=[
            Table(section="cancel", title="Cancel", columns=columns, rows=rows, note=note, series=dict(times)),
            rollback,
        ]
    )


async def _cancel_one(
    ours: Ours, prompts: Sequence[Sequence[int]], *, num_new: int, waits: bool, delay_s: float
) -> float | None:
    """Start all prompts, cancel one in the middle, wait for its slot; then end the others.

    Returns:
        Seconds; None where the request had ended before.
    """
    params = SamplingParams(temperature=0.7, max_new_tokens=num_new)
    begun = [asyncio.Event() for _ in prompts]

    async def read(number: int) -> None:
        async for _ in ours.engine.generate(prompts[number], params):
            begun[number].set()

    tasks = [asyncio.create_task(read(number)) for number in range(len(prompts))]
    if waits:
        await asyncio.gather(*(event.wait() for event in begun))
        delay_s = min(delay_s, 0.05)
    await asyncio.sleep(delay_s)
    before = ours.engine.stats()["slots_active"]
    if before == 0 or tasks[0].done():
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return None
    at = time.perf_counter()
    tasks[0].cancel()
    while ours.engine.stats()["slots_active"] >= before:
        if time.perf_counter() - at > _GIVE_UP_S:
            raise RuntimeError(f"a cancelled request held its slot for {_GIVE_UP_S:g} s")
        await asyncio.sleep(_POLL_S)
    taken = time.perf_counter() - at
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    while ours.engine.stats()["slots_active"]:
        await asyncio.sleep(_POLL_S)
    return taken


def _rollback(ours: Ours, prompt: Sequence[int]) -> Table:
    """Generate, take the last tokens back, generate again from there."""
    params = SamplingParams(temperature=0.0, max_new_tokens=24)
    first = ours.runner.run(ours.reply(prompt, params, conversation_id="rolled back"))
    kept = [*prompt, *first.token_ids[:-_TAKEN_BACK]]
    again = ours.first_token(kept, conversation_id="rolled back")
    computed = again.stats.prompt_tokens - again.stats.cached_tokens
    columns = ("tokens taken back", "prompt tokens", "prompt tokens run", "first token ms")
    row = (len(prompt) + len(first.token_ids) - len(kept), len(kept), computed, again.first_s * 1e3)
    return Table(section="cancel", title="Rollback", columns=columns, rows=[row], note="Must run the last token only.")
