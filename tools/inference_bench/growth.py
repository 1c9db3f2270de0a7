"""How costs grow: with the tokens in a slot, with the rows of a step, with the characters in the store."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from npc_engine.inference.prefix_store import PrefixStore, SnapshotSource
from tools.inference_bench.bench import Bench, Findings, Table
from tools.inference_bench.duel import OURS, duel
from tools.inference_bench.ours import Ours, opened

_STEPS, _CHUNK, _LOOKUPS = 8, 128, 50
_LLAMA = "llama.cpp"
# What every character's prompt begins with, before its own name.
_SHARED_TOKENS = 16


def growth(bench: Bench) -> Findings:
    """The three tables."""
    tables = [_contexts(bench), _batches(bench)]
    for peer in bench.peers.values():
        peer.ask("forget")
    return Findings(tables=[*tables, _characters(bench)])


def _contexts(bench: Bench) -> Table:
    """A step of one row, and a chunk of a prompt, by what the slot holds already."""
    plan = bench.plan
    contexts = [count for count in plan.growth_contexts if count + _CHUNK + _STEPS <= bench.spec.max_context_tokens]
    room = -(-(max(contexts) + _CHUNK + _STEPS + 1) // 256) * 256
    text = bench.texts.ids("a very long story", max(contexts))
    rows = []
    with opened(bench.folder, threads=bench.threads, num_slots=1, max_context_tokens=room, chunk_tokens=_CHUNK) as ours:
        for count in contexts:
            bench.say(f"growth, {count} tokens in the slot")
            ours.fill(0, count, seed=bench.seed)
            prompt = [0] * count
            fill = text[:_CHUNK]

            def chunk(count: int = count, fill: list[int] = fill) -> float:
                ours.rewind(0, count)
                begun = time.perf_counter()
                ours.append(0, fill)
                return (time.perf_counter() - begun) / len(fill) * 1e3

            contestants: dict[str, Callable[[], float]] = {OURS: partial(_step, ours, [prompt]), "chunk": chunk}
            if _LLAMA in bench.peers:
                contestants[_LLAMA] = partial(_llama_step, bench, [text[:count]], num_tokens=room)
            found, _ = duel(contestants, repeats=plan.repeats)
            rows.append((count, *(_median(found, name) for name in (OURS, _LLAMA, "chunk"))))
    columns = ("tokens in the slot", "decode ms", "decode ms, llama.cpp", "prefill ms/token")
    note = f"Prefill: a chunk of {_CHUNK} tokens after those in the slot. llama.cpp: its best setup for steps."
    return Table(section="growth", title="Growth with context", columns=columns, rows=rows, note=note)


def _batches(bench: Bench) -> Table:
    """A step of several rows."""
    plan, rows = bench.plan, []
    prompts = [
        bench.texts.ids(f"speaker {number}", plan.decode_context_tokens) for number in range(max(plan.growth_batches))
    ]
    room = -(-(plan.decode_context_tokens + plan.decode_steps + 1) // 256) * 256
    with opened(bench.folder, threads=bench.threads, num_slots=len(prompts), max_context_tokens=room) as ours:
        for batch in plan.growth_batches:
            bench.say(f"growth, {batch} rows a step")
            some = prompts[:batch]
            contestants: dict[str, Callable[[], float]] = {OURS: partial(_step, ours, some)}
            if _LLAMA in bench.peers:
                contestants[_LLAMA] = partial(_llama_step, bench, some)
            found, _ = duel(contestants, repeats=plan.repeats)
            ms = _median(found, OURS)
            assert ms is not None
            rows.append((batch, ms, _median(found, _LLAMA), ms / batch))
    columns = ("rows", "step ms", "step ms, llama.cpp", "ms a token")
    note = f"{plan.decode_context_tokens} tokens in each row's slot."
    return Table(section="growth", title="Growth with batch", columns=columns, rows=rows, note=note)


def _characters(bench: Bench) -> Table:
    """Finding a prompt's prefix among many in the store, and copying it into a slot."""
    plan, spec, rows = bench.plan, bench.spec, []
    length = plan.growth_prefix_tokens
    rng = np.random.default_rng(bench.seed)
    shape = (2 * spec.num_layers, spec.num_kv_heads, length, spec.head_dim)
    shared = rng.integers(0, spec.vocab_size, _SHARED_TOKENS)
    store = PrefixStore(1 << 62)
    prompts: list[np.ndarray] = []
    with opened(bench.folder, threads=bench.threads, num_slots=1, max_context_tokens=256) as ours:
        kv = ours.engine.decoder.kv
        slot = kv.slots[0]
        kv.allocate(slot, None)
        for count in plan.growth_characters:
            bench.say(f"growth, {count} characters")
            while len(prompts) < count:
                own = rng.integers(0, spec.vocab_size, length - len(shared) + plan.line_tokens)
                prompt = np.concatenate([shared, own]).astype(np.int64)
                source = SnapshotSource(
                    kv.memory.layout,
                    lambda start, stop: rng.standard_normal((*shape[:2], stop - start, shape[3]), np.float32).astype(
                        spec.kv_dtype
                    ),
                )
                store.insert(f"character {len(prompts)}", prompt[:length], source, pinned=True)
                prompts.append(prompt)
            match_s, copy_s = [], []
            for number in rng.integers(0, count, _LOOKUPS):
                begun = time.perf_counter()
                found = store.match(prompts[number])
                matched = time.perf_counter()
                if found.num_tokens != length:
                    raise RuntimeError(f"the store found {found.num_tokens} of {length} tokens")
                kv.rewind(slot, 0)
                kv.restore(found, slot, prompts[number][:length].tolist())
                copy_s.append(time.perf_counter() - matched)
                match_s.append(matched - begun)
            megabytes = store.nbytes / 1e6
            rows.append((count, statistics.median(match_s) * 1e6, statistics.median(copy_s) * 1e6, megabytes))
        kv.free(slot)
    columns = ("characters", "match us", "copy us", "store MB")
    note = f"Prefixes of {length} tokens, of which the first {_SHARED_TOKENS} are the same; random keys and values."
    return Table(section="growth", title="Growth with characters", columns=columns, rows=rows, note=note)


def _step(ours: Ours, prompts: list[list[int]]) -> float:
    return statistics.median(ours.decode(prompts, num_steps=_STEPS)) * 1e3


def _llama_step(bench: Bench, prompts: list[list[int]], *, num_tokens: int = 0) -> float:
    times: list[float] = bench.peers[_LLAMA].ask("decode", prompts=prompts, num_steps=_STEPS, num_tokens=num_tokens)
    return statistics.median(times) * 1e3


def _median(samples: dict[str, list[float]], name: str) -> float | None:
    return statistics.median(samples[name]) if samples.get(name) else None
