"""onnxruntime-genai as a peer: its generators, static batches, and rewinding. Run by the peer's Python, never by ours.

On a CPU its engine of continuous batching does not run, so a batch is rows of one length and one generator.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime_genai as og
from serve import serve


class GenaiPeer:
    """The operations that the parent asks for. Seconds everywhere."""

    def __init__(self, *, folder: str, threads: int) -> None:
        overlay = json.dumps(
            {"model": {"decoder": {"session_options": {"intra_op_num_threads": threads, "inter_op_num_threads": 1}}}}
        )
        config = og.Config(folder)
        config.overlay(overlay)
        self.model = og.Model(config)
        self._generators: dict[tuple[int, int], Any] = {}
        self._held: dict[tuple[int, int], list[int]] = {}

    def operations(self) -> dict[str, Callable[..., Any]]:
        """By name."""
        names = ("describe", "prefill", "decode", "warm", "first_token", "walk_plain", "walk_resident", "forget")
        return {name: getattr(self, name) for name in names}

    def describe(self) -> dict[str, str]:
        """What runs."""
        return {"version": f"onnxruntime-genai {og.__version__}"}

    def forget(self) -> None:
        """Free every generator."""
        self._generators.clear()
        self._held.clear()

    def prefill(self, *, token_ids: list[int]) -> float:
        """A cold prompt, up to its next token."""
        generator = self._new(len(token_ids) + 2)
        begun = time.perf_counter()
        generator.append_tokens(np.array([token_ids], np.int32))
        generator.generate_next_token()
        return time.perf_counter() - begun

    def decode(self, *, prompts: list[list[int]], num_steps: int, num_tokens: int = 0) -> list[float]:
        """Each of some greedy steps for all prompts together, which are of one length."""
        generator = self._new(max(num_tokens, len(prompts[0]) + num_steps + 2), batch=len(prompts))
        generator.append_tokens(np.array(prompts, np.int32))
        generator.generate_next_token()
        times = []
        for _ in range(num_steps):
            begun = time.perf_counter()
            generator.generate_next_token()
            times.append(time.perf_counter() - begun)
        return times

    def warm(self, *, token_ids: list[int], num_tokens: int) -> None:
        """Hold a prefix in a generator of so many tokens."""
        self._continue((0, num_tokens), token_ids)

    def first_token(self, *, token_ids: list[int], num_tokens: int) -> float:
        """A prompt that begins with what `warm` holds, rewound to the common prefix."""
        begun = time.perf_counter()
        self._continue((0, num_tokens), token_ids)
        return time.perf_counter() - begun

    def walk_plain(self, *, prompts: list[list[int]], num_prefix: int, num_tokens: int) -> list[float]:
        """Prompts in turn through one generator; only a common prefix with the one before is kept."""
        times = []
        for prompt in prompts:
            begun = time.perf_counter()
            self._continue((0, num_tokens), prompt)
            times.append(time.perf_counter() - begun)
        return times

    def walk_resident(self, *, prompts: list[list[int]], num_prefix: int, num_tokens: int) -> list[float]:
        """Each prefix kept in a generator of its own: nothing is copied, all memory is held."""
        for number, prompt in enumerate(prompts):
            key = (number + 1, num_tokens)
            if _common(self._held.get(key, []), prompt) < num_prefix:
                self._continue(key, prompt[:num_prefix])
        times = []
        for number, prompt in enumerate(prompts):
            begun = time.perf_counter()
            self._continue((number + 1, num_tokens), prompt)
            times.append(time.perf_counter() - begun)
        return times

    def _continue(self, key: tuple[int, int], prompt: list[int]) -> None:
        if key not in self._generators:
            self._generators[key], self._held[key] = self._new(key[1]), []
        generator, held = self._generators[key], self._held[key]
        kept = min(_common(held, prompt), len(prompt) - 1)
        if held:
            generator.rewind_to(kept)
        generator.append_tokens(np.array([prompt[kept:]], np.int32))
        generator.generate_next_token()
        self._held[key] = list(prompt)

    def _new(self, num_tokens: int, *, batch: int = 1) -> Any:
        params = og.GeneratorParams(self.model)
        # A minimum as long as the maximum: no end token ends a measurement.
        params.set_search_options(
            do_sample=False,
            batch_size=batch,
            max_length=num_tokens,
            min_length=num_tokens,
            past_present_share_buffer=True,
        )
        return og.Generator(self.model, params)


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    length = min(len(left), len(right))
    differ = np.flatnonzero(np.array(left[:length]) != np.array(right[:length]))
    return int(differ[0]) if differ.size else length


if __name__ == "__main__":
    serve(lambda options: GenaiPeer(**options).operations())
