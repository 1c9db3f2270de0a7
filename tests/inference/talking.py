"""Replies collected whole, from an engine whose thread runs or is stepped by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import numpy as np

from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.generation import Delta
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.sequence import GenerationStats, Priority

Result = TypeVar("Result")

PROMPT = tuple(int(token) for token in np.random.default_rng(3).integers(3, 390, 60))
GREEDY = SamplingParams(temperature=0, max_new_tokens=24)
WARM = SamplingParams(temperature=1.5, top_p=1.0, top_k=0, seed=11, max_new_tokens=24)


class Reply:
    """A whole reply, collected."""

    def __init__(self, deltas: list[Delta]) -> None:
        self.deltas = deltas
        self.text = "".join(delta.text for delta in deltas)
        self.token_ids = [token_id for delta in deltas for token_id in delta.token_ids]
        self.stats: GenerationStats = deltas[-1].stats


async def collect(deltas: AsyncIterator[Delta]) -> Reply:
    return Reply([delta async for delta in deltas])


async def say(
    engine: InferenceEngine,
    prompt: tuple[int, ...],
    params: SamplingParams = GREEDY,
    talk: str | None = None,
    *,
    priority: Priority = Priority.PLAYER,
    deadline_s: float | None = None,
) -> Reply:
    return await collect(
        engine.generate(prompt, params, conversation_id=talk, priority=priority, deadline_s=deadline_s)
    )


async def stepped(engine: InferenceEngine, task: asyncio.Task[Result]) -> Result:
    """Drive an engine whose thread is not running, until the task is done."""
    while not task.done():
        engine.step()
        await asyncio.sleep(0)
    return task.result()
