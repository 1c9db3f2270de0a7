"""How a snapshot's keys and values are kept: as they are, or as int8 with scales. Knows nothing of tokens or files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

SnapshotDtype = Literal["float", "int8"]

_LARGEST = 127
# Below it a scale would be a denormal number; a row so small is stored as zeros.
_SMALLEST_SCALE = 1e-30


@dataclass(frozen=True, kw_only=True)
class KvLayout:
    """What keys and values of one token look like.

    Attributes:
        parts: 2 * layers; keys of a layer, then its values.
        heads: Key and value heads.
        head_dim: Values a head.
        dtype: Of the graph's keys and values.
    """

    parts: int
    heads: int
    head_dim: int
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes a token."""
        return self.parts * self.heads * self.head_dim * self.dtype.itemsize


class Encoded(Protocol):
    """Keys and values of some neighbouring tokens. Immutable."""

    @property
    def num_tokens(self) -> int:
        """How many."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...

    def decode(self, start: int, stop: int) -> NDArray[Any]:
        """Tokens `start` to `stop`: (parts, kv heads, stop - start, head dim). Not to be written to."""
        ...

    def split(self, at: int) -> tuple[Encoded, Encoded]:
        """The first `at` tokens and the rest, in memory of their own."""
        ...

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """What it is made of, C-contiguous, for a file."""
        ...


class SnapshotCodec(Protocol):
    """One way to keep keys and values."""

    @property
    def name(self) -> SnapshotDtype:
        """As the setting `kv_snapshot_dtype` spells it."""
        ...

    def nbytes(self, layout: KvLayout, num_tokens: int) -> int:
        """What `encode` of so many tokens will hold, at least 1."""
        ...

    def encode(self, values: NDArray[Any]) -> Encoded:
        """Keep (parts, kv heads, tokens, head dim); a whole float array is kept without a copy."""
        ...

    def empty(self, layout: KvLayout, num_tokens: int) -> Encoded:
        """One whose `arrays` are still to be filled, from a file."""
        ...


@dataclass(frozen=True)
class FloatValues:
    """Keys and values as the graph wrote them: restoring them is exact to the last bit."""

    values: NDArray[Any]

    @property
    def num_tokens(self) -> int:
        """How many tokens."""
        return int(self.values.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.values.nbytes

    def decode(self, start: int, stop: int) -> NDArray[Any]:
        """The tokens, as a view."""
        return self.values if stop - start == self.num_tokens else self.values[:, :, start:stop]

    def split(self, at: int) -> tuple[Self, Self]:
        """Two copies: a view would keep the whole alive."""
        return type(self)(self.values[:, :, :at].copy()), type(self)(self.values[:, :, at:].copy())

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The values."""
        return (self.values,)


@dataclass(frozen=True)
class Int8Values:
    """Keys and values in int8, with a scale a channel for keys and a scale a token for values.

    A few channels of the keys are large for all tokens. Source: Liu et al. 2024, KIVI, arXiv 2402.02750. Measured here
    too, against a scale a token for both: docs/log.md.

    Attributes:
        codes: (parts, kv heads, tokens, head dim) int8.
        key_scales: (layers, kv heads, 1, head dim) float32.
        value_scales: (layers, kv heads, tokens, 1) float32.
        dtype: What it decodes to.
    """

    codes: NDArray[np.int8]
    key_scales: NDArray[np.float32]
    value_scales: NDArray[np.float32]
    dtype: np.dtype[Any]

    @property
    def num_tokens(self) -> int:
        """How many tokens."""
        return int(self.codes.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in self.arrays())

    def decode(self, start: int, stop: int) -> NDArray[Any]:
        """The tokens, off by half a scale at most."""
        codes = self.codes[:, :, start:stop]
        values = np.empty(codes.shape, self.dtype)
        np.multiply(codes[0::2], self.key_scales, out=values[0::2], casting="same_kind")
        np.multiply(codes[1::2], self.value_scales[:, :, start:stop], out=values[1::2], casting="same_kind")
        return values

    def split(self, at: int) -> tuple[Self, Self]:
        """Two copies; each decodes to what the whole did."""
        first, rest = (
            type(self)(
                self.codes[:, :, tokens].copy(),
                self.key_scales.copy(),
                self.value_scales[:, :, tokens].copy(),
                self.dtype,
            )
            for tokens in (slice(None, at), slice(at, None))
        )
        return first, rest

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Codes, then scales."""
        return self.codes, self.key_scales, self.value_scales


class FloatCodec:
    """Keeps what the graph wrote."""

    name: SnapshotDtype = "float"

    def nbytes(self, layout: KvLayout, num_tokens: int) -> int:
        """Bytes of so many tokens."""
        return layout.nbytes * num_tokens

    def encode(self, values: NDArray[Any]) -> Encoded:
        """Keep the array itself where it owns its memory, else a copy."""
        return FloatValues(values if values.flags.owndata and values.flags.c_contiguous else values.copy())

    def empty(self, layout: KvLayout, num_tokens: int) -> Encoded:
        """Room for so many tokens."""
        return FloatValues(np.empty((layout.parts, layout.heads, num_tokens, layout.head_dim), layout.dtype))


class Int8Codec:
    """Rounds to int8 with symmetric scales."""

    name: SnapshotDtype = "int8"

    def nbytes(self, layout: KvLayout, num_tokens: int) -> int:
        """Bytes of so many tokens with their scales."""
        rows = layout.parts * layout.heads
        return rows * num_tokens * layout.head_dim + rows // 2 * 4 * (num_tokens + layout.head_dim)

    def encode(self, values: NDArray[Any]) -> Encoded:
        """Round keys a channel, values a token."""
        codes = np.empty(values.shape, np.int8)
        scales = tuple(_round(values[part::2], codes[part::2], axis=axis) for part, axis in ((0, 2), (1, 3)))
        return Int8Values(codes, scales[0], scales[1], values.dtype)

    def empty(self, layout: KvLayout, num_tokens: int) -> Encoded:
        """Room for so many tokens."""
        layers, heads, dim = layout.parts // 2, layout.heads, layout.head_dim
        return Int8Values(
            np.empty((layout.parts, heads, num_tokens, dim), np.int8),
            np.empty((layers, heads, 1, dim), np.float32),
            np.empty((layers, heads, num_tokens, 1), np.float32),
            layout.dtype,
        )


def _round(values: NDArray[Any], codes: NDArray[np.int8], *, axis: int) -> NDArray[np.float32]:
    """Write codes; returns the scales, one along the axis. Values must be finite."""
    largest = np.maximum(values.max(axis=axis, keepdims=True), -values.min(axis=axis, keepdims=True))
    scales: NDArray[np.float32] = np.maximum(largest.astype(np.float32) / _LARGEST, np.float32(_SMALLEST_SCALE))
    codes[...] = np.rint(values.astype(np.float32, copy=False) / scales)
    return scales


CODECS: dict[SnapshotDtype, SnapshotCodec] = {"float": FloatCodec(), "int8": Int8Codec()}
