"""A decoder's graphs over one KV pool: one prompt chunk of one slot, or one token for each of several slots.

Prompts run on the prefill graph where the folder holds one (int8 throughout, two to three times as fast), tokens on
the decode graph. Every chunk of `prefill` runs on the same graph, also a short one, so that what a prompt's keys and
values are does not depend on how it was cut.

Knows token ids and slots; nothing of requests, sampling or text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from npc_engine.config import EngineConfig
from npc_engine.errors import CorruptModel, UnknownAdapter
from npc_engine.inference.kv_cache import KvPool
from npc_engine.inference.kv_memory import allocate_kv
from npc_engine.inference.onnx_session import (
    Binding,
    DeviceArray,
    OnnxSession,
    StopFlag,
    int8_products_saturate,
    open_session,
    runtime_version,
)
from npc_engine.inference.snapshot_files import model_fingerprint
from npc_engine.inference.spec import DecoderSpec

# Prefill and decode run different kernels, which agree to rounding. Source: MatMulNBits with 8-bit activations is off
# by about 0.5 % on either path; a kernel that is wrong for one row (onnxruntime issue 29853) is off by 100 %.
_SELF_TEST_TOLERANCE = 0.1
# The prefill graph rounds the rows of its activations too, and is off by more. Source: logits of the first tokens of
# `tiny`, `base` and random stubs differ by PLACEHOLDER of their norm.
_PREFILL_TOLERANCE = 0.5
_SELF_TEST_TOKENS = 5


@dataclass(frozen=True)
class Logits:
    """What one run says of each row's next token. The arrays are overwritten by the next run of the same rows.

    Attributes:
        full: (rows, vocab_size) float32.
        top_values: (rows, top_k) float32, the largest logits, descending.
        top_ids: (rows, top_k) int64, their token ids.
    """

    full: NDArray[np.float32]
    top_values: NDArray[np.float32]
    top_ids: NDArray[np.int64]


class _Rows:
    """The graph bound to a range of slots: its buffers never move, so a run rebinds at most `input_ids`."""

    def __init__(self, session: OnnxSession, spec: DecoderSpec, kv: KvPool, *, first: int, last: int, width: int):
        rows = last - first
        self.input_ids = np.zeros(rows * width, np.int64)
        self.seqlens_k = np.zeros(rows, np.int32)
        self.total = np.zeros(1, np.int32)
        self.last_index = np.zeros(rows, np.int64)
        self.adapter_index = np.zeros(rows, np.int64)
        self._stacked = np.zeros(sum(spec.adapter_ranks), np.int64)  # the stacks' rows in use, as many as there are
        self._in_use: tuple[int, ...] | None = None
        self._ranks = spec.adapter_ranks
        self.logits = Logits(
            np.zeros((rows, spec.vocab_size), np.float32),
            np.zeros((rows, spec.top_k), np.float32),
            np.zeros((rows, spec.top_k), np.int64),
        )
        self._rows = rows
        self._tokens = 0
        self.binding: Binding = session.binding()
        inputs: dict[str, NDArray[Any]] = {
            "seqlens_k": self.seqlens_k,
            "total_sequence_length": self.total,
            "last_index": self.last_index,
        }
        if spec.adapters:
            inputs["adapter_index"] = self.adapter_index
        outputs: dict[str, NDArray[Any]] = {
            "logits": self.logits.full,
            "top_values": self.logits.top_values,
            "top_ids": self.logits.top_ids,
        }
        for name, array in inputs.items():
            self.binding.bind_input(name, DeviceArray.of(array))
        for name, array in outputs.items():
            self.binding.bind_output(name, DeviceArray.of(array))
        for part in range(2 * spec.num_layers):
            name = f"{'value' if part % 2 else 'key'}.{part // 2}"
            view = kv.memory.view(part, first, last)
            self.binding.bind_input(f"past_{name}", view)
            self.binding.bind_output(f"present_{name}", view)

    def feed(self, token_ids: NDArray[np.int64], lengths: NDArray[np.int32], adapters: Sequence[int]) -> None:
        """Set the inputs: `token_ids` (rows, tokens) to append after `lengths` (rows,) cached ones, and whose voice."""
        tokens = token_ids.shape[1]
        flat = self.input_ids[: self._rows * tokens]
        flat[:] = token_ids.reshape(-1)
        if tokens != self._tokens:
            self.binding.bind_input("input_ids", DeviceArray.of(flat.reshape(self._rows, tokens)))
            self._tokens = tokens
        self.seqlens_k[:] = lengths + (tokens - 1)
        self.total[0] = int(self.seqlens_k.max()) + 1
        self.last_index[:] = tokens - 1
        if self._ranks:
            self._choose(adapters)

    def _choose(self, adapters: Sequence[int]) -> None:
        """Give each row its adapter, and the graph the rows of all that are in use.

        One row of the first stands in where none is: it is masked off, and no kernel has to do with empty matrices.
        """
        self.adapter_index[:] = adapters
        in_use = tuple(sorted({adapter for adapter in adapters if adapter}))
        if in_use == self._in_use:
            return
        ends = np.cumsum(self._ranks)
        chosen = [np.arange(ends[one - 1] - self._ranks[one - 1], ends[one - 1]) for one in in_use]
        rows = np.concatenate(chosen) if chosen else np.zeros(1, np.int64)
        self._stacked[: len(rows)] = rows
        self.binding.bind_input("adapter_rows", DeviceArray.of(self._stacked[: len(rows)]))
        self._in_use = in_use


class Decoder:
    """A loaded decoder and the KV pool it writes to. Not thread-safe: the engine thread owns it.

    Attributes:
        spec: What the graph is.
        kv: Its slots.
        provider: The execution provider that the session really got.
        fallback_reason: Why not CUDA under `device = "auto"`; empty otherwise.
        prefill_reason: Why prompts run on the decode graph; empty where they run on a prefill graph.
        fingerprint: What its keys and values depend on beside the tokens; empty where it was not loaded from a folder.
    """

    def __init__(
        self,
        session: OnnxSession,
        spec: DecoderSpec,
        kv: KvPool,
        *,
        max_chunk_tokens: int,
        prefill_session: OnnxSession | None = None,
        prefill_reason: str = "",
    ) -> None:
        self.spec = spec
        self.kv = kv
        self.max_chunk_tokens = max_chunk_tokens
        self.provider = session.provider
        self.fallback_reason = session.fallback_reason
        self.prefill_reason = prefill_reason
        self.fingerprint = ""
        self._session = session
        self._prefill_session = prefill_session
        self._bound: dict[tuple[int, int], _Rows] = {}
        self._prompts: dict[int, _Rows] = {}

    @classmethod
    def load(cls, folder: Path, *, config: EngineConfig) -> Self:
        """Open the graphs and `decoder.json`, reserve the KV pool, and check that the graphs compute.

        Raises:
            CorruptModel: A file is missing or does not load, the graph lacks an input or output, or the check fails.
            DeviceUnavailable: `config.device` is `cuda` and cannot be had.
            KvBudgetTooSmall: `config.kv_budget_bytes` does not hold one sequence.
        """
        spec = DecoderSpec.load(folder / "decoder.json")
        path = folder / "decoder.onnx"
        session = open_session(path, device=config.device, threads=config.threads)
        _check_names(path, session, spec)
        reason = _why_no_prefill(spec, session, config)
        prefill_path = folder / "prefill.onnx"
        prefill = None if reason else open_session(prefill_path, device="cpu", threads=config.threads)
        if prefill:
            _check_names(prefill_path, prefill, spec)
        memory = allocate_kv(
            spec,
            num_slots=config.num_slots,
            max_context_tokens=min(config.max_context_tokens, spec.max_context_tokens),
            device=session.device,
            budget_bytes=config.kv_budget_bytes,
        )
        decoder = cls(
            session,
            spec,
            KvPool(memory),
            max_chunk_tokens=config.prefill_chunk_tokens,
            prefill_session=prefill,
            prefill_reason=reason,
        )
        kernels = session.provider if reason else f"{session.provider} {spec.prefill_precision}"
        decoder.fingerprint = model_fingerprint(folder, kernels, runtime_version())
        _self_test(path, decoder)
        return decoder

    def adapter_number(self, name: str | None) -> int:
        """The number of an adapter: from 1 on as `spec.adapters` lists them, 0 for None, the plain model.

        Raises:
            UnknownAdapter: The model has none of that name.
        """
        if name is None:
            return 0
        if name not in self.spec.adapters:
            raise UnknownAdapter(
                f"the model has no adapter {name!r}",
                hint=f"its adapters are: {', '.join(self.spec.adapters) or 'none'}; `npc-engine models import` with "
                "--adapters installs a model that has some",
            )
        return self.spec.adapters.index(name) + 1

    def prefill(
        self,
        slot: int,
        token_ids: Sequence[int],
        *,
        num_cached_tokens: int,
        adapter: int = 0,
        stop: StopFlag | None = None,
    ) -> Logits:
        """Append a prompt chunk to one slot.

        Args:
            slot: Its index in the pool.
            token_ids: 1 to `max_chunk_tokens` ids.
            num_cached_tokens: Valid tokens already in the slot; rows from there on are overwritten.
            adapter: The number of the adapter that the slot's tokens are computed with.
            stop: Ends the run from another thread.

        Returns:
            One row: the logits after the chunk's last token.

        Raises:
            RunTerminated: `stop` was set. Rows from `num_cached_tokens` on are undefined, those before it are intact.
        """
        if not 1 <= len(token_ids) <= self.max_chunk_tokens:
            raise ValueError(f"a chunk is 1 to {self.max_chunk_tokens} tokens, got {len(token_ids)}")
        ids = np.array(token_ids, np.int64)[None, :]
        rows = self._prompt_rows(slot) if self._prefill_session else self._rows(slot, slot + 1)
        return self._run(rows, slot, ids, np.array([num_cached_tokens], np.int32), (adapter,), stop)

    def decode(
        self,
        first_slot: int,
        token_ids: Sequence[int],
        *,
        num_cached_tokens: Sequence[int],
        adapters: Sequence[int] | None = None,
        stop: StopFlag | None = None,
    ) -> Logits:
        """Append one token to each of several neighbouring slots, whatever their lengths.

        Args:
            first_slot: Index of the first slot.
            token_ids: One id a slot.
            num_cached_tokens: Valid tokens in each slot; the row after them is overwritten.
            adapters: The number of each slot's adapter; None is the plain model for all.
            stop: Ends the run from another thread.

        Returns:
            One row a slot. A row does not depend on the others.

        Raises:
            RunTerminated: `stop` was set. The cached rows are intact.
        """
        ids = np.array(token_ids, np.int64)[:, None]
        rows = self._rows(first_slot, first_slot + len(ids))
        chosen = (0,) * len(ids) if adapters is None else adapters
        return self._run(rows, first_slot, ids, np.array(num_cached_tokens, np.int32), chosen, stop)

    def _run(
        self,
        rows: _Rows,
        first: int,
        token_ids: NDArray[np.int64],
        lengths: NDArray[np.int32],
        adapters: Sequence[int],
        stop: StopFlag | None,
    ) -> Logits:
        longest = int(lengths.max()) + token_ids.shape[1]
        if longest > self.kv.slots[first].max_tokens:
            raise ValueError(f"{longest} tokens do not fit a slot of {self.kv.slots[first].max_tokens}")
        if max(adapters) > len(self.spec.adapters):
            raise ValueError(f"adapter {max(adapters)} of {len(self.spec.adapters)}")
        rows.feed(token_ids, lengths, adapters)
        rows.binding.run(stop)
        return rows.logits

    def _rows(self, first: int, last: int) -> _Rows:
        if (first, last) not in self._bound:
            width = self.max_chunk_tokens if last - first == 1 else 1
            self._bound[first, last] = _Rows(self._session, self.spec, self.kv, first=first, last=last, width=width)
        return self._bound[first, last]

    def _prompt_rows(self, slot: int) -> _Rows:
        assert self._prefill_session is not None
        if slot not in self._prompts:
            self._prompts[slot] = _Rows(
                self._prefill_session,
                self.spec,
                self.kv,
                first=slot,
                last=slot + 1,
                width=self.max_chunk_tokens,
            )
        return self._prompts[slot]


def _why_no_prefill(spec: DecoderSpec, session: OnnxSession, config: EngineConfig) -> str:
    """Why the prefill graph is not opened; empty where it is."""
    if spec.prefill_precision == "none":
        if spec.prefill_kl_nats is not None:
            return f"the model has no prefill graph: its KL divergence was {spec.prefill_kl_nats:.3f} nats"
        return "the model has no prefill graph"
    if not config.prefill_graph:
        return "prefill_graph is off"
    if session.device != "cpu":
        return "the prefill graph is for the CPU"
    if spec.prefill_max_code == 127 and int8_products_saturate():
        return "the prefill graph was built for processors with VNNI or on ARM, and this one's int8 products saturate"
    return ""


def _check_names(path: Path, session: OnnxSession, spec: DecoderSpec) -> None:
    parts = [f"{kind}.{layer}" for layer in range(spec.num_layers) for kind in ("key", "value")]
    inputs = {"input_ids", "seqlens_k", "total_sequence_length", "last_index", *(f"past_{part}" for part in parts)}
    if spec.adapters:
        inputs |= {"adapter_index", "adapter_rows"}
    outputs = {"logits", "top_values", "top_ids", *(f"present_{part}" for part in parts)}
    wrong = (inputs ^ set(session.input_names)) | (outputs ^ set(session.output_names))
    if wrong:
        raise CorruptModel(
            f"{path}: the graph's inputs and outputs are not those of decoder.json: {', '.join(sorted(wrong)[:6])}",
            hint="the model was built by another version: npc-engine models remove NAME, then pull it again",
        )


def _self_test(path: Path, decoder: Decoder) -> None:
    """Run a few tokens whole and token by token in slot 0; both ways must give finite, like logits."""
    for adapter in (0, 1) if decoder.spec.adapters else (0,):
        _self_test_as(path, decoder, adapter)


def _self_test_as(path: Path, decoder: Decoder, adapter: int) -> None:
    ids = [(7 * step + 1) % decoder.spec.vocab_size for step in range(_SELF_TEST_TOKENS)]
    try:
        whole = decoder.prefill(0, ids, num_cached_tokens=0, adapter=adapter).full.copy()
        for step, token_id in enumerate(ids):
            last = decoder.decode(0, [token_id], num_cached_tokens=[step], adapters=[adapter])
    except Exception as error:  # whatever the runtime raises, the graph is not the one decoder.json describes
        raise CorruptModel(
            f"{path}: the graph loads but does not run: {error}",
            hint="npc-engine models verify NAME, then pull it again",
        ) from error
    if not (np.isfinite(whole).all() and np.isfinite(last.full).all()):
        raise CorruptModel(f"{path}: the graph computes NaN", hint="npc-engine models verify NAME, then pull it again")
    apart = float(np.linalg.norm(whole - last.full) / max(float(np.linalg.norm(whole)), 1e-6))
    allowed = _SELF_TEST_TOLERANCE if decoder.prefill_reason else _PREFILL_TOLERANCE
    if apart > allowed or last.top_values[0, 0] != last.full.max():
        raise CorruptModel(
            f"{path}: prefill and decode disagree by {apart:.0%} on this processor",
            hint="run `npc-engine doctor` and report its output; another onnxruntime 1.31 build may be sound",
        )
