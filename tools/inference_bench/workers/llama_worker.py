"""llama.cpp as a peer, through llama-cpp-python's low-level API. Run by the peer's Python, never imported by ours.

It gets its best: the library's own batched decode over several sequences, the logits read only where they are needed,
the fastest of several batch sizes with and without flash attention, its prompt cache, and its states in memory.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np
from serve import serve

_UBATCHES = (128, 256, 512)
_TUNE_PROMPT, _TUNE_CONTEXT, _TUNE_STEPS, _TUNE_ROUNDS = 256, 128, 12, 3


@dataclass(frozen=True)
class Setup:
    """What of a context is tuned."""

    ubatch: int
    flash: bool

    def __str__(self) -> str:
        return f"n_batch = n_ubatch = {self.ubatch}, flash attention {'on' if self.flash else 'off'}"


class Context:
    """One llama.cpp context, its batch as numpy views, and the tokens that each sequence holds."""

    def __init__(self, model: Any, setup: Setup, *, threads: int, num_tokens: int, num_sequences: int) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = num_tokens * num_sequences
        params.n_batch = params.n_ubatch = setup.ubatch
        params.n_seq_max = num_sequences
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = 1 if setup.flash else 0
        params.kv_unified = False  # a stream a sequence: a row's attention does not read the others' cells
        params.no_perf = True
        self.ctx = llama_cpp.llama_init_from_model(model, params)
        if not self.ctx:
            raise RuntimeError(f"llama.cpp made no context of {num_sequences} x {num_tokens} tokens")
        self.memory = llama_cpp.llama_get_memory(self.ctx)
        self.num_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.size = setup.ubatch
        self.held: list[list[int]] = [[] for _ in range(num_sequences)]
        self._batch = llama_cpp.llama_batch_init(setup.ubatch, 0, 1)
        as_array = np.ctypeslib.as_array
        self._token = as_array(self._batch.token, (setup.ubatch,))
        self._pos = as_array(self._batch.pos, (setup.ubatch,))
        self._logits = as_array(self._batch.logits, (setup.ubatch,))
        one = as_array(self._batch.n_seq_id, (setup.ubatch,))
        one[:] = 1
        self._seq = [as_array(self._batch.seq_id[row], (1,)) for row in range(setup.ubatch)]

    def close(self) -> None:
        """Free it."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self.ctx)

    def rewind(self, sequence: int, length: int) -> None:
        """Keep a sequence's first tokens."""
        llama_cpp.llama_memory_seq_rm(self.memory, sequence, length, -1)
        del self.held[sequence][length:]

    def append(self, sequence: int, token_ids: Sequence[int]) -> int:
        """Run tokens of one sequence in chunks; the likeliest next token."""
        for start in range(0, len(token_ids), self.size):
            part = token_ids[start : start + self.size]
            rows = len(part)
            begun = len(self.held[sequence])
            self._token[:rows] = part
            self._pos[:rows] = np.arange(begun, begun + rows)
            self._logits[:rows] = 0
            for row in range(rows):
                self._seq[row][0] = sequence
            last = start + self.size >= len(token_ids)
            self._logits[rows - 1] = last
            self._run(rows)
            self.held[sequence] += part
        return self._best(rows - 1)

    def step(self, token_ids: Sequence[int]) -> list[int]:
        """One token for each of the first sequences in one call; the likeliest next token of each."""
        rows = len(token_ids)
        self._token[:rows] = token_ids
        self._logits[:rows] = 1
        for row in range(rows):
            self._pos[row] = len(self.held[row])
            self._seq[row][0] = row
            self.held[row].append(token_ids[row])
        self._run(rows)
        return [self._best(row) for row in range(rows)]

    def _run(self, rows: int) -> None:
        self._batch.n_tokens = rows
        code = llama_cpp.llama_decode(self.ctx, self._batch)
        if code:
            raise RuntimeError(f"llama_decode gave {code}")

    def _best(self, row: int) -> int:
        pointer = llama_cpp.llama_get_logits_ith(self.ctx, row)
        return int(np.argmax(np.ctypeslib.as_array(pointer, (self.num_vocab,))))


class LlamaPeer:
    """The operations that the parent asks for. Seconds everywhere."""

    def __init__(self, *, gguf: str, threads: int) -> None:
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(gguf.encode(), params)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {gguf}")
        self.threads = threads
        self.prompt_setup = self.step_setup = Setup(512, True)
        self._contexts: dict[tuple[Setup, int, int], Context] = {}
        self._states: list[tuple[int, Any]] = []
        self._whole: list[tuple[int, Any]] = []

    def operations(self) -> dict[str, Callable[..., Any]]:
        """By name."""
        names = (
            "describe", "tune", "prefill", "decode", "warm", "first_token",
            "walk_plain", "walk_states", "walk_resident", "forget",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def describe(self) -> dict[str, str]:
        """What runs."""
        return {
            "version": f"llama-cpp-python {llama_cpp.__version__}",
            "system": llama_cpp.llama_print_system_info().decode().strip(" |"),
            "prompt_setup": str(self.prompt_setup),
            "step_setup": str(self.step_setup),
        }

    def forget(self) -> None:
        """Free every context and state."""
        for context in self._contexts.values():
            context.close()
        self._contexts.clear()
        self._states.clear()
        self._whole.clear()

    def tune(self, *, token_ids: list[int]) -> dict[str, Any]:
        """Try every setup, keep the fastest for prompts and the fastest for steps; milliseconds of each."""
        tried: dict[str, dict[str, float]] = {}
        best: dict[str, tuple[float, Setup]] = {}
        for ubatch in _UBATCHES:
            for flash in (True, False):
                setup = Setup(ubatch, flash)
                self.prompt_setup = self.step_setup = setup
                prompt = min(self.prefill(token_ids=token_ids[:_TUNE_PROMPT]) for _ in range(_TUNE_ROUNDS))
                rows = [token_ids[:_TUNE_CONTEXT]]
                step = float(np.median(self.decode(prompts=rows, num_steps=_TUNE_STEPS)))
                tried[str(setup)] = {"prefill_ms": prompt * 1e3, "decode_ms": step * 1e3}
                for kind, value in (("prompt", prompt), ("step", step)):
                    if kind not in best or value < best[kind][0]:
                        best[kind] = (value, setup)
                self.forget()
        self.prompt_setup, self.step_setup = best["prompt"][1], best["step"][1]
        return {**self.describe(), "tried": tried}

    def prefill(self, *, token_ids: list[int]) -> float:
        """A cold prompt, up to its next token."""
        context = self._context(self.prompt_setup, num_tokens=_room(len(token_ids)), num_sequences=1)
        context.rewind(0, 0)
        begun = time.perf_counter()
        context.append(0, token_ids)
        return time.perf_counter() - begun

    def decode(self, *, prompts: list[list[int]], num_steps: int, num_tokens: int = 0) -> list[float]:
        """Each of some greedy steps for all prompts together. Prompts that are held already are only rewound to.

        `num_tokens` asks for a longer context than these need, for longer prompts to come.
        """
        longest = max(num_tokens, max(map(len, prompts)) + num_steps + 1)
        context = self._context(self.step_setup, num_tokens=_room(longest), num_sequences=len(prompts))
        last = []
        for sequence, prompt in enumerate(prompts):
            # The last token runs again, so that its logits are there.
            kept = min(_common(context.held[sequence], prompt), len(prompt) - 1)
            context.rewind(sequence, kept)
            last.append(context.append(sequence, prompt[kept:]))
        times = []
        for _ in range(num_steps):
            begun = time.perf_counter()
            last = context.step(last)
            times.append(time.perf_counter() - begun)
        return times

    def warm(self, *, token_ids: list[int], num_tokens: int) -> None:
        """Hold a prefix in the one sequence of a context of so many tokens."""
        context = self._context(self.prompt_setup, num_tokens=num_tokens, num_sequences=1)
        self._continue(context, 0, token_ids)

    def first_token(self, *, token_ids: list[int], num_tokens: int) -> float:
        """A prompt that begins with what `warm` holds, by continuing after the common prefix."""
        context = self._context(self.prompt_setup, num_tokens=num_tokens, num_sequences=1)
        begun = time.perf_counter()
        self._continue(context, 0, token_ids)
        return time.perf_counter() - begun

    def walk_plain(self, *, prompts: list[list[int]], num_prefix: int, num_tokens: int) -> list[float]:
        """Prompts in turn through one sequence; only a common prefix with the one before is kept.

        Untimed, the state of each prompt's first `num_prefix` tokens is kept for the other walks. The context has a
        stream a prompt, of which this walk uses the first: a state loads only into as many streams as it came from.
        """
        context = self._context(self.prompt_setup, num_tokens=num_tokens, num_sequences=len(prompts))
        times = []
        self._states.clear()
        self._whole.clear()
        for prompt in prompts:
            begun = time.perf_counter()
            self._continue(context, 0, prompt)
            times.append(time.perf_counter() - begun)
            context.rewind(0, num_prefix)
            for states, size_of, get in (
                (self._states, llama_cpp.llama_state_seq_get_size, llama_cpp.llama_state_seq_get_data),
                (self._whole, llama_cpp.llama_state_get_size, llama_cpp.llama_state_get_data),
            ):
                of_sequence = (0,) if states is self._states else ()
                size = int(size_of(context.ctx, *of_sequence))
                buffer = (ctypes.c_uint8 * size)()
                written = int(get(context.ctx, buffer, size, *of_sequence))
                kept = (ctypes.c_uint8 * written).from_buffer_copy(memoryview(buffer)[:written])
                states.append((written, kept))
        return times

    def walk_states(self, *, prompts: list[list[int]], num_prefix: int, num_tokens: int) -> dict[str, Any]:
        """As `walk_plain`, each prefix restored from memory first: by sequence state, and by the whole context's."""
        context = self._context(self.prompt_setup, num_tokens=num_tokens, num_sequences=len(prompts))
        ways: dict[str, list[float]] = {"sequence state": [], "context state": []}
        for way, states in (("sequence state", self._states), ("context state", self._whole)):
            for prompt, (size, state) in zip(prompts, states, strict=True):
                begun = time.perf_counter()
                if way == "sequence state":
                    context.rewind(0, 0)
                    done = llama_cpp.llama_state_seq_set_data(context.ctx, state, size, 0)
                else:
                    done = llama_cpp.llama_state_set_data(context.ctx, state, size)
                if not done:
                    raise RuntimeError(f"llama.cpp refused its own {way}")
                context.held[0][:] = prompt[:num_prefix]
                context.append(0, prompt[num_prefix:])
                ways[way].append(time.perf_counter() - begun)
        return {"times": ways, "state_bytes": [size for size, _ in self._states]}

    def walk_resident(self, *, prompts: list[list[int]], num_prefix: int, num_tokens: int) -> list[float]:
        """Each prefix kept in a sequence of its own in one context: nothing is copied, all memory is held."""
        context = self._context(self.prompt_setup, num_tokens=num_tokens, num_sequences=len(prompts))
        for sequence, (prompt, (size, state)) in enumerate(zip(prompts, self._states, strict=True)):
            context.rewind(sequence, 0)
            if not llama_cpp.llama_state_seq_set_data(context.ctx, state, size, sequence):
                raise RuntimeError("llama.cpp refused its own sequence state")
            context.held[sequence][:] = prompt[:num_prefix]
        times = []
        for sequence, prompt in enumerate(prompts):
            begun = time.perf_counter()
            self._continue(context, sequence, prompt)
            times.append(time.perf_counter() - begun)
        return times

    def _continue(self, context: Context, sequence: int, prompt: list[int]) -> int:
        kept = min(_common(context.held[sequence], prompt), len(prompt) - 1)
        context.rewind(sequence, kept)
        return context.append(sequence, prompt[kept:])

    def _context(self, setup: Setup, *, num_tokens: int, num_sequences: int) -> Context:
        key = (setup, num_tokens, num_sequences)
        if key not in self._contexts:
            self._contexts[key] = Context(
                self.model, setup, threads=self.threads, num_tokens=num_tokens, num_sequences=num_sequences
            )
        return self._contexts[key]


def _room(num_tokens: int) -> int:
    """Tokens of a context that holds these: llama.cpp pads to 256 anyway."""
    return -(-num_tokens // 256) * 256


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    length = min(len(left), len(right))
    differ = np.flatnonzero(np.array(left[:length]) != np.array(right[:length]))
    return int(differ[0]) if differ.size else length


if __name__ == "__main__":
    serve(lambda options: LlamaPeer(**options).operations())
