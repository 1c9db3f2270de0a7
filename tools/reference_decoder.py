"""A decoder in plain numpy, float32: what the ONNX graph must compute. No onnxruntime.

Weights come either from a built model folder (its own quantized weights, dequantized) or from the source file
(unquantized); everything else is written out here a second time, from the papers: RMS norm (Zhang & Sennrich 2019),
rotary embedding over half-split pairs (Su et al. 2021), grouped-query attention (Ainslie et al. 2023), SwiGLU (Shazeer
2020), and Qwen3's RMS norm on each head of q and k.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.quantize import BLOCK, Bits, QuantizedRows
from npc_engine.models.weights import WeightSource

Array = NDArray[np.float32]

_HEAD_ROWS = 16384
"""Rows of the output matrix multiplied at once: bounds memory with a large vocabulary."""


class Weights(Protocol):
    """Where a reference decoder reads: matrices (outputs, inputs) and vectors by GGUF's names without the suffix."""

    spec: DecoderSpec
    eps: float
    inverse_frequencies: NDArray[np.float64]

    def matrix(self, name: str) -> Array:
        """(outputs, inputs) float32."""
        ...

    def bias(self, name: str) -> Array | None:
        """(outputs,) float32, or None where the product has none."""
        ...

    def norm(self, name: str) -> Array:
        """(size,) float32."""
        ...

    def embedding(self, ids: NDArray[np.int64]) -> Array:
        """(tokens, hidden) float32."""
        ...

    def head(self) -> Iterator[Array]:
        """The output matrix in row chunks."""
        ...


class SourceWeights:
    """The unquantized weights of a GGUF file or safetensors folder, read again at each use: little memory."""

    def __init__(self, source: WeightSource, spec: DecoderSpec) -> None:
        self._source = source
        self.spec = spec
        self.eps = source.config.rms_norm_eps
        self.inverse_frequencies = source.config.inverse_frequencies

    def matrix(self, name: str) -> Array:
        """(outputs, inputs) float32."""
        return self._source.tensors[f"{name}.weight"].floats()

    def bias(self, name: str) -> Array | None:
        """(outputs,) float32, or None where the product has none."""
        tensor = self._source.tensors.get(f"{name}.bias")
        return tensor.floats() if tensor else None

    def norm(self, name: str) -> Array:
        """(size,) float32."""
        return self._source.tensors[f"{name}.weight"].floats()

    def embedding(self, ids: NDArray[np.int64]) -> Array:
        """(tokens, hidden) float32."""
        table = self._source.tensors["token_embd.weight"]
        return np.concatenate([table.float_rows(int(i), int(i) + 1) for i in ids])

    def head(self) -> Iterator[Array]:
        """The output matrix in row chunks."""
        table = self._source.tensors.get("output.weight") or self._source.tensors["token_embd.weight"]
        for start in range(0, table.num_rows, _HEAD_ROWS):
            yield table.float_rows(start, min(start + _HEAD_ROWS, table.num_rows))


class FolderWeights:
    """The weights of a built model folder, as the graph's own initializers say, dequantized and kept in memory."""

    def __init__(self, folder: Path) -> None:
        model = onnx.load(str(folder / "decoder.onnx"))
        self.spec = DecoderSpec.load(folder / "decoder.json")
        self._arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self._matrices: dict[str, Array] = {}
        codes_input = {"MatMulNBits": 1, "GatherBlockQuantized": 0}
        self._blocks: dict[str, int] = {
            node.input[codes_input[node.op_type]]: next(a.i for a in node.attribute if a.name == "block_size")
            for node in model.graph.node
            if node.op_type in codes_input
        }
        self._with_offsets = {
            node.input[1] for node in model.graph.node if node.input and node.input[0].endswith("/with_means")
        }
        norms = (node for node in model.graph.node if node.op_type == "SimplifiedLayerNormalization")
        self.eps = next(item.f for item in next(norms).attribute if item.name == "epsilon")
        cos, sin = self._arrays["rope.cos"][1], self._arrays["rope.sin"][1]
        self.inverse_frequencies = np.arctan2(sin.astype(np.float64), cos.astype(np.float64))

    def matrix(self, name: str) -> Array:
        """(outputs, inputs) float32."""
        layer, _, part = name.rpartition(".")
        rows = self._qkv_rows(part)
        if rows is not None:
            return self._whole(f"{layer}.attn_qkv")[rows]
        return self._whole(name)

    def bias(self, name: str) -> Array | None:
        """(outputs,) float32, or None where the product has none."""
        layer, _, part = name.rpartition(".")
        rows = self._qkv_rows(part)
        found = self._arrays.get(f"{name if rows is None else layer + '.attn_qkv'}.bias")
        return None if found is None else found.astype(np.float32)[rows or slice(None)]

    def norm(self, name: str) -> Array:
        """(size,) float32."""
        return self._arrays[f"{name}.weight"].astype(np.float32)

    def embedding(self, ids: NDArray[np.int64]) -> Array:
        """(tokens, hidden) float32."""
        return self._whole("token_embd")[ids]

    def head(self) -> Iterator[Array]:
        """The output matrix in row chunks."""
        with suppress(KeyError):
            yield self._whole("output")
            return
        yield self._whole("token_embd")

    def _qkv_rows(self, part: str) -> slice | None:
        """Which rows of the packed product belong to q, k or v."""
        query, key = self.spec.num_heads * self.spec.head_dim, self.spec.num_kv_heads * self.spec.head_dim
        starts = {"attn_q": (0, query), "attn_k": (query, query + key), "attn_v": (query + key, query + 2 * key)}
        return slice(*starts[part]) if part in starts else None

    def _whole(self, name: str) -> Array:
        if name not in self._matrices:
            if f"{name}.weight" in self._arrays:
                self._matrices[name] = self._arrays[f"{name}.weight"].astype(np.float32)
            elif name in self._arrays:
                self._matrices[name] = self._arrays[name].astype(np.float32)
            else:
                self._matrices[name] = _dequantize(self._arrays, name, self._blocks[f"{name}.codes"])
                if f"{name}.codes" in self._with_offsets:
                    self._matrices[name] = _join_offsets(self._matrices[name])
        return self._matrices[name]


def _dequantize(arrays: Mapping[str, NDArray[np.generic]], name: str, block: int) -> Array:
    codes, scales = arrays[f"{name}.codes"], arrays[f"{name}.scales"].astype(np.float32)
    flat = codes.reshape(len(codes), -1).astype(np.uint8)
    bits: Bits = 8 if flat.shape[1] == scales.shape[1] * block else 4
    return QuantizedRows(flat, scales, bits, block=block).dequantize()


def _join_offsets(rows: Array) -> Array:
    """Weights whose blocks' offsets stand after them, for the means of the input's blocks: high digits, then low."""
    columns = next(k for k in range(BLOCK, rows.shape[1], BLOCK) if k + 2 * BLOCK * -(-k // BLOCK**2) == rows.shape[1])
    weights, digits = rows[:, :columns], rows[:, columns:]
    offsets = sum(half[:, : columns // BLOCK] for half in np.split(digits, 2, axis=1))
    return weights + np.repeat(offsets / BLOCK, BLOCK, axis=1)


class ReferenceDecoder:
    """A decoder over one sequence.

    Args:
        weights: What it computes with.
        int8_activations: Round what enters each product to 8 bits in blocks of 32, as the graph's products do at
            accuracy level 4; off, the arithmetic is float32 throughout.
    """

    def __init__(self, weights: Weights, *, int8_activations: bool = False) -> None:
        self.weights = weights
        self.spec = weights.spec
        self._enter = _round_to_int8 if int8_activations else _unchanged

    def forward(self, ids: list[int]) -> Array:
        """Logits after each token of a sequence, (tokens, vocab_size) float32."""
        weights = self.weights
        x = weights.embedding(np.array(ids, np.int64))  # (tokens, hidden)
        for layer in range(self.spec.num_layers):
            p = f"blk.{layer}"
            x = x + self._attention(p, self._rms_norm(x, weights.norm(f"{p}.attn_norm")))
            n = self._rms_norm(x, weights.norm(f"{p}.ffn_norm"))
            gate, up = self._linear(n, f"{p}.ffn_gate"), self._linear(n, f"{p}.ffn_up")
            x = x + self._linear(gate / (1 + np.exp(-gate)) * up, f"{p}.ffn_down")
        n = self._enter(self._rms_norm(x, weights.norm("output_norm")))
        return np.concatenate([n @ rows.T for rows in weights.head()], axis=1)

    def _linear(self, x: Array, name: str) -> Array:
        bias = self.weights.bias(name)
        out = self._enter(x) @ self.weights.matrix(name).T
        return out if bias is None else out + bias

    def _rms_norm(self, x: Array, gain: Array) -> Array:
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(self.weights.eps)) * gain

    def _attention(self, p: str, n: Array) -> Array:
        spec, tokens = self.spec, len(n)
        q, k, v = (
            self._linear(n, f"{p}.{part}").reshape(tokens, -1, spec.head_dim).swapaxes(0, 1)
            for part in ("attn_q", "attn_k", "attn_v")
        )  # each (heads, tokens, head_dim)
        if spec.architecture == "qwen3":
            q = self._rms_norm(q, self.weights.norm(f"{p}.attn_q_norm"))
            k = self._rms_norm(k, self.weights.norm(f"{p}.attn_k_norm"))
        group = spec.num_heads // spec.num_kv_heads
        q, k, v = self._rotate(q), self._rotate(k).repeat(group, axis=0), v.repeat(group, axis=0)
        scores = q @ k.swapaxes(1, 2) / np.float32(math.sqrt(spec.head_dim))
        is_past = np.tri(tokens, dtype=bool)
        attended = _softmax(np.where(is_past, scores, np.float32(-np.inf))) @ v  # (heads, tokens, head_dim)
        return self._linear(attended.swapaxes(0, 1).reshape(tokens, -1), f"{p}.attn_output")

    def _rotate(self, x: Array) -> Array:
        angles = np.arange(x.shape[1])[:, None] * self.weights.inverse_frequencies
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        first, second = np.split(x, 2, axis=-1)
        return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def _unchanged(x: Array) -> Array:
    return x


def _round_to_int8(x: Array) -> Array:
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    scales = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    return (np.rint(blocks * inverse) * scales).reshape(x.shape)


def _softmax(scores: Array) -> Array:
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)
