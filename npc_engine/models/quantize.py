"""Weights to the block layouts of MatMulNBits and GatherBlockQuantized: symmetric, 32 weights a scale.

A weight is `(code - zero) * scale`, `zero` being 8 for 4 bits and 128 for 8 bits, the ops' own defaults. Four-bit codes
are packed low nibble first. `Q4_0` and `Q8_0` blocks are the same numbers in another order and map without loss.

`Q4_1` and `Q4_K` blocks have a minimum besides their scale, which no symmetric block can hold: rounded to symmetric
ones, they lose as much again as they lost when they were made. They keep their codes and scales, and the rest of each
block is one `offset`. A row's offsets are further columns of the matrix, multiplied with the means of the input's
blocks: each in 8 bits, as a high and a low digit of 4 (`with_offset_blocks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray

from npc_engine.errors import UnsupportedTensor
from npc_engine.models.weights import SourceTensor

BLOCK = 32

Bits = Literal[4, 8]

_WITH_MINIMUM = frozenset(("Q4_1", "Q4_K"))

_PEAKS = (-9.0, -8.5, -8.0, -7.5, -7.0, -6.5, -6.0, 6.0, 6.5, 7.0, 7.5)
"""Codes that the block's largest weight is tried at by the int4 search."""

_TINY = np.float32(1e-30)
"""A block of nothing larger is zero: the reciprocal of its scale would overflow."""

_TILE = 2048
"""Blocks searched at once: the working set stays in the second-level cache."""


@dataclass(frozen=True)
class QuantizedRows:
    """Rows of a quantized matrix.

    Args:
        codes: (rows, columns * bits / 8) uint8, packed.
        scales: (rows, columns / block) float32.
        bits: 4 or 8.
        offsets: (rows, columns / block) float32, added to each weight of a block; None where all are 0.
        block: Weights a scale.
    """

    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]
    bits: Bits
    offsets: NDArray[np.float32] | None = None
    block: int = BLOCK

    def dequantize(self) -> NDArray[np.float32]:
        """(rows, columns) float32."""
        codes = unpack4(self.codes) if self.bits == 4 else self.codes
        blocks = codes.reshape(*self.scales.shape, self.block).astype(np.float32) - np.float32(
            8 if self.bits == 4 else 128
        )
        weights = blocks * self.scales[..., None]
        if self.offsets is not None:
            weights += self.offsets[..., None]
        return weights.reshape(len(codes), -1)


def has_offsets(tensors: Sequence[SourceTensor], bits: Bits) -> bool:
    """Whether these tensors, one matrix at these bits, are kept exactly with offsets."""
    stored = {tensor.stored for tensor in tensors}
    return bits == 4 and stored <= {"Q4_0", *_WITH_MINIMUM} and bool(stored & _WITH_MINIMUM)


def num_offset_columns(columns: int) -> int:
    """Columns that `with_offset_blocks` adds: the offsets' high digits, padded to whole blocks, and their low ones."""
    num_offsets = columns // BLOCK
    return num_offsets + -num_offsets % BLOCK + num_offsets


def with_offset_blocks(rows: QuantizedRows) -> QuantizedRows:
    """The rows with their offsets as further 4-bit blocks, times 32 since they are multiplied with means.

    An offset is `(16 * high + low) * scale`, both digits -8 to 7, one scale for 32 offsets: blocks of high digits
    have 16 times the scale of those of low digits. As float32 the offsets would be a fifth of what decode reads.
    """
    num_rows, num_blocks = rows.scales.shape
    offsets = np.zeros((num_rows, num_blocks), np.float32) if rows.offsets is None else rows.offsets
    padded = np.pad(offsets * np.float32(BLOCK), ((0, 0), (0, -num_blocks % BLOCK))).reshape(-1, BLOCK)
    scales = np.abs(padded).max(axis=1) / np.float32(16 * 7 + 7)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > _TINY)
    codes = np.rint(padded * inverse[:, None])
    high = np.floor((codes + 8) / 16)
    digits = np.stack((high, codes - 16 * high)) + 8
    packed = pack4(digits.astype(np.uint8)).reshape(2, num_rows, -1)
    scales = scales.reshape(num_rows, -1)
    return QuantizedRows(
        np.concatenate((rows.codes, packed[0], packed[1]), axis=1),
        np.concatenate((rows.scales, 16 * scales, scales), axis=1),
        4,
    )


def wide_block(columns: int) -> int:
    """Weights a scale for 8-bit matrices that decode reads: the most of 128, 64 and 32 that divide the columns.

    Each scale is four bytes, and the kernel keeps four more beside it: blocks of 32 cost 10 bits a weight, of 128
    8.5. Source: measured, decode of `base` and `tiny`, with a KL divergence of 0.0003 nats (`tiny`, simulated).
    """
    return next((block for block in (128, 64) if columns % block == 0), BLOCK)


def quantize_rows(tensor: SourceTensor, start: int, stop: int, bits: Bits, *, block: int = BLOCK) -> QuantizedRows:
    """Quantize rows [start, stop) of a matrix.

    Exact where the source is Q4_0, or Q8_0 going to 8 bits, or Q4_1 or Q4_K going to 4, and blocks are of 32.

    Args:
        tensor: The matrix.
        start: First row.
        stop: The row after the last.
        bits: 4 or 8.
        block: Weights a scale; with 4 bits always 32.

    Raises:
        UnsupportedTensor: The matrix's rows are not whole blocks of 32.
    """
    if len(tensor.shape) != 2 or tensor.shape[1] % BLOCK:
        raise UnsupportedTensor(f"tensor {tensor.name} {tensor.shape}: rows must be a multiple of {BLOCK} weights")
    if block != BLOCK:
        return quantize(tensor.float_rows(start, stop), bits, block=block)
    if tensor.stored == "Q4_0":
        return _from_q4_0(tensor.raw_rows(start, stop), bits)
    if tensor.stored == "Q8_0" and bits == 8:
        return _from_q8_0(tensor.raw_rows(start, stop))
    if tensor.stored == "Q4_1" and bits == 4:
        return _from_q4_1(tensor.raw_rows(start, stop))
    if tensor.stored == "Q4_K" and bits == 4:
        return _from_q4_k(tensor.raw_rows(start, stop))
    return quantize(tensor.float_rows(start, stop), bits)


def quantize(weights: NDArray[np.float32], bits: Bits, *, block: int = BLOCK) -> QuantizedRows:
    """Quantize (rows, columns) float32, columns a multiple of the block; 4 bits have blocks of 32."""
    if bits == 4 and block != BLOCK:
        raise ValueError("four bits have blocks of 32")
    blocks = weights.reshape(-1, block)
    if bits == 8:
        scales = np.abs(blocks).max(axis=1) / np.float32(127)
        inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > _TINY)
        codes = (np.rint(blocks * inverse[:, None]) + np.float32(128)).astype(np.uint8)
    else:
        scales = np.empty(len(blocks), np.float32)
        codes = np.empty(blocks.shape, np.uint8)
        for start in range(0, len(blocks), _TILE):
            tile = slice(start, start + _TILE)
            codes[tile], scales[tile] = _search_int4(blocks[tile])
        codes = pack4(codes)
    rows = len(weights)
    return QuantizedRows(codes.reshape(rows, -1), scales.reshape(rows, -1), bits, block=block)


@dataclass(frozen=True)
class QuantizedChannels:
    """Rows of a matrix with one scale a row.

    Args:
        codes: (rows, columns) int8.
        scales: (rows,) float32.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]


def quantize_channels(weights: NDArray[np.float32], *, largest: int) -> QuantizedChannels:
    """Quantize (rows, columns) float32 to codes within -largest..largest, one scale a row."""
    scales = np.abs(weights).max(axis=1) / np.float32(largest)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > _TINY)
    return QuantizedChannels(np.rint(weights * inverse[:, None]).astype(np.int8), scales)


def _search_int4(blocks: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Codes and scales of (n, 32) blocks with the least squared error among a few scales a block.

    Each candidate's rounded codes give the scale that fits them best by least squares; the candidate that explains
    most of the block wins, and the codes are rounded once more with its scale.
    """
    columns = np.ascontiguousarray(blocks.T)  # (32, n): sums over a block become sums of rows
    largest = np.take_along_axis(columns, np.abs(columns).argmax(axis=0)[None], axis=0)[0]
    inverse_largest = np.divide(1, largest, out=np.zeros_like(largest), where=np.abs(largest) > _TINY)
    best_gain = np.zeros_like(largest)
    best_scale = np.zeros_like(largest)
    codes = np.empty_like(columns)
    for peak in _PEAKS:
        np.multiply(columns, inverse_largest * np.float32(peak), out=codes)
        np.rint(codes, out=codes)
        np.clip(codes, -8, 7, out=codes)
        dot = np.einsum("ij,ij->j", columns, codes)
        norm = np.maximum(np.einsum("ij,ij->j", codes, codes), np.float32(1))
        scale = dot / norm
        gain = dot * scale
        better = gain > best_gain
        best_gain[better] = gain[better]
        best_scale[better] = scale[better]
    inverse = np.divide(1, best_scale, out=np.zeros_like(best_scale), where=best_scale != 0)
    np.multiply(columns, inverse, out=codes)
    np.clip(np.rint(codes, out=codes), -8, 7, out=codes)
    return np.ascontiguousarray((codes + np.float32(8)).astype(np.uint8).T), best_scale


def pack4(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes 0..15 two a byte along the last axis, the first in the low nibble."""
    return codes[..., 0::2] | (codes[..., 1::2] << np.uint8(4))


def unpack4(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The inverse of `pack4`."""
    return np.stack((packed & np.uint8(0x0F), packed >> np.uint8(4)), axis=-1).reshape(*packed.shape[:-1], -1)


def _from_q4_0(raw: NDArray[Any], bits: Bits) -> QuantizedRows:
    """Blocks of a float16 scale and 16 bytes: weight j in the low nibble of byte j, weight j + 16 in the high one."""
    scales, nibbles = _split_blocks(raw, 16)
    codes = np.concatenate((nibbles & np.uint8(0x0F), nibbles >> np.uint8(4)), axis=-1)
    if bits == 8:
        return QuantizedRows((codes + np.uint8(120)).reshape(len(raw), -1), scales, 8)
    return QuantizedRows(pack4(codes).reshape(len(raw), -1), scales, 4)


def _from_q4_1(raw: NDArray[Any]) -> QuantizedRows:
    """As Q4_0, with a float16 minimum after the scale: a weight is `code * scale + minimum`."""
    blocks = np.ascontiguousarray(raw).reshape(len(raw), -1, 20)
    factors = np.ascontiguousarray(blocks[..., :4]).view(np.float16).astype(np.float32)
    scales, minimums = factors[..., 0], factors[..., 1]
    nibbles = blocks[..., 4:]
    codes = np.concatenate((nibbles & np.uint8(0x0F), nibbles >> np.uint8(4)), axis=-1)
    return QuantizedRows(pack4(codes).reshape(len(raw), -1), scales, 4, minimums + 8 * scales)


def _from_q4_k(raw: NDArray[Any]) -> QuantizedRows:
    """Super-blocks of 256: two float16 factors, 8 scales and 8 minimums of 6 bits, and codes 32 low, 32 high nibbles.

    A weight is `code * scale - minimum`, its block's scale and minimum being the 6-bit ones times the factors.
    """
    blocks = np.ascontiguousarray(raw).reshape(-1, 144)
    factors = np.ascontiguousarray(blocks[:, :4]).view(np.float16).astype(np.float32)
    scales, minimums = gguf.quants.Q4_K.get_scale_min(blocks[:, 4:16])  # (n, 8) each
    scales, minimums = scales * factors[:, :1], minimums * factors[:, 1:]
    nibbles = blocks[:, 16:].reshape(-1, 4, 1, BLOCK)
    codes = np.concatenate((nibbles & np.uint8(0x0F), nibbles >> np.uint8(4)), axis=2)  # (n, 4, 2, 32)
    rows = len(raw)
    offsets = (8 * scales - minimums).reshape(rows, -1)
    return QuantizedRows(pack4(codes).reshape(rows, -1), scales.reshape(rows, -1), 4, offsets)


def _from_q8_0(raw: NDArray[Any]) -> QuantizedRows:
    """Blocks of a float16 scale and 32 signed bytes."""
    scales, values = _split_blocks(raw, BLOCK)
    return QuantizedRows((values ^ np.uint8(0x80)).reshape(len(raw), -1), scales, 8)


def _split_blocks(raw: NDArray[Any], num_bytes: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    blocks = np.ascontiguousarray(raw).reshape(len(raw), -1, 2 + num_bytes)
    scales = np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0].astype(np.float32)
    return scales, blocks[..., 2:]
