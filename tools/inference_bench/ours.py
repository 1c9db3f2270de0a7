"""Our side of every measurement: the whole engine from asyncio, and its decoder alone while the engine idles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npc_engine.config import EngineConfig
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sampler import SamplerRow, SamplingParams, sample
from npc_engine.inference.sequence import GenerationStats
from npc_engine.models.tokenizer import ChatTokenizer

GREEDY = SamplingParams(temperature=0.0)


@dataclass(frozen=True)
class Reply:
    """A whole reply.

    Attributes:
        token_ids: All of them.
        text: Their text.
        stats: The engine's own account.
        arrivals: (time on `perf_counter`, tokens) of each delta.
        begun_s: When it was asked for.
    """

    token_ids: tuple[int, ...]
    text: str
    stats: GenerationStats
    arrivals: tuple[tuple[float, int], ...]
    begun_s: float

    @property
    def first_s(self) -> float:
        """From asking to the first delta in the caller's hands."""
        return self.arrivals[0][0] - self.begun_s


class Ours:
    """A started engine and the loop that its callers live in."""

    def __init__(self, engine: InferenceEngine, runner: asyncio.Runner, *, config: EngineConfig) -> None:
        self.engine = engine
        self.runner = runner
        self.chunk_tokens = config.prefill_chunk_tokens
        self.store_bytes = config.prefix_store_bytes
        self._held: list[list[int]] = [[] for _ in engine.decoder.kv.slots]

    # --- the decoder alone; only while no request runs and no conversation is kept ----------------

    def append(self, slot: int, token_ids: Sequence[int], *, chunk_tokens: int | None = None) -> int:
        """Run tokens after what the slot holds, in chunks; the likeliest next token."""
        size, held = chunk_tokens or self.chunk_tokens, self._held[slot]
        best = 0
        for start in range(0, len(token_ids), size):
            part = token_ids[start : start + size]
            logits = self.engine.decoder.prefill(slot, part, num_cached_tokens=len(held))
            held += part
            best = int(logits.top_ids[0, 0])
        return best

    def prefill(self, token_ids: Sequence[int], *, chunk_tokens: int | None = None) -> float:
        """Seconds of a cold prompt, up to its next token."""
        self._held[0].clear()
        begun = time.perf_counter()
        self.append(0, token_ids, chunk_tokens=chunk_tokens)
        return time.perf_counter() - begun

    def decode(self, prompts: Sequence[Sequence[int]], *, num_steps: int) -> list[float]:
        """Seconds of each of some greedy steps of all prompts together, the engine's own sampler included."""
        last = []
        for slot, prompt in enumerate(prompts):
            kept = len(prompt) - 1 if self._held[slot][: len(prompt)] == list(prompt) else 0
            del self._held[slot][kept:]
            last.append(self.append(slot, prompt[kept:]))
        times = []
        for step in range(num_steps):
            begun = time.perf_counter()
            lengths = [len(self._held[slot]) for slot in range(len(prompts))]
            logits = self.engine.decoder.decode(0, last, num_cached_tokens=lengths)
            rows = [SamplerRow(GREEDY, step)] * len(prompts)
            chosen = sample(rows, full=logits.full, top_values=logits.top_values, top_ids=logits.top_ids)
            times.append(time.perf_counter() - begun)
            for slot, token_id in enumerate(last):
                self._held[slot].append(token_id)
            last = chosen
        return times

    def rewind(self, slot: int, length: int) -> None:
        """Keep a slot's first tokens."""
        del self._held[slot][length:]

    def fill(self, slot: int, num_tokens: int, *, seed: int) -> None:
        """Make the slot hold so many tokens' worth of noise: what a step costs does not depend on their values."""
        spec = self.engine.decoder.spec
        shape = (2 * spec.num_layers, spec.num_kv_heads, num_tokens, spec.head_dim)
        noise = np.random.default_rng(seed).standard_normal(shape, np.float32).astype(spec.kv_dtype)
        self.engine.decoder.kv.memory.write(slot, noise)
        self._held[slot] = [0] * num_tokens

    # --- the whole engine -------------------------------------------------------------------------

    async def reply(
        self, prompt_ids: Sequence[int], params: SamplingParams, *, conversation_id: str | None = None
    ) -> Reply:
        """Generate to the end."""
        begun_s = time.perf_counter()
        arrivals: list[tuple[float, int]] = []
        token_ids: list[int] = []
        text, stats = "", None
        async for delta in self.engine.generate(prompt_ids, params, conversation_id=conversation_id):
            arrivals.append((time.perf_counter(), len(delta.token_ids)))
            token_ids += delta.token_ids
            text, stats = text + delta.text, delta.stats
        assert stats is not None
        return Reply(tuple(token_ids), text, stats, tuple(arrivals), begun_s)

    def first_token(self, prompt_ids: Sequence[int], *, conversation_id: str | None = None) -> Reply:
        """A reply of one token."""
        params = SamplingParams(temperature=0.0, max_new_tokens=1)
        return self.runner.run(self.reply(prompt_ids, params, conversation_id=conversation_id))

    def warm(self, prefixes: dict[str, list[int]]) -> None:
        """Put prefixes into the store, one after another."""

        async def warm() -> None:
            for key, ids in prefixes.items():
                await self.engine.warm_prefix(ids, key=key)

        self.runner.run(warm())

    def together(self, prompts: Sequence[Sequence[int]], *, num_tokens: int) -> float:
        """Tokens a second that callers get while all prompts' replies run, over the whole engine."""
        params = SamplingParams(temperature=0.0, max_new_tokens=num_tokens)

        async def run() -> list[Reply]:
            return await asyncio.gather(*(self.reply(prompt, params) for prompt in prompts))

        replies = self.runner.run(run())
        begun = max(reply.arrivals[0][0] for reply in replies)
        ended = min(reply.arrivals[-1][0] for reply in replies)
        count = sum(tokens for reply in replies for at, tokens in reply.arrivals if begun < at <= ended)
        if ended <= begun or not count:
            raise RuntimeError("the replies never ran all at once: a model that ends them at once cannot be measured")
        return count / (ended - begun)


@contextmanager
def opened(
    folder: Path,
    *,
    threads: int,
    num_slots: int,
    max_context_tokens: int,
    chunk_tokens: int | None = None,
    store_bytes: int | None = None,
) -> Iterator[Ours]:
    """An engine over the model folder, closed at the end.

    Args:
        folder: The installed model.
        threads: Of inference.
        num_slots: Sequences at once.
        max_context_tokens: Of a slot.
        chunk_tokens: Prompt tokens a step; None for the product's default.
        store_bytes: Budget of the prefix store; None for the product's default.
    """
    default = EngineConfig(device="cpu", threads=threads)
    config = EngineConfig(
        device="cpu",
        threads=threads,
        num_slots=num_slots,
        max_context_tokens=max_context_tokens,
        prefill_chunk_tokens=chunk_tokens or default.prefill_chunk_tokens,
        prefix_store_bytes=default.prefix_store_bytes if store_bytes is None else store_bytes,
        prefix_store_disk_bytes=0,  # what a file kept from an earlier run saves is not what is measured here
    )
    engine = InferenceEngine(Decoder.load(folder, config=config), ChatTokenizer.load(folder).raw, config=config)
    engine.start()
    try:
        with asyncio.Runner() as runner:
            yield Ours(engine, runner, config=config)
    finally:
        engine.close()
