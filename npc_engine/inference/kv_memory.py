"""Where keys and values lie: one array [2 * layers, slots, kv heads, tokens, head dim] on a device.

Part 2 * l holds the keys of layer l, part 2 * l + 1 its values. Knows nothing of who uses a slot.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.onnx_session import CudaBuffer, DeviceArray
from npc_engine.inference.spec import DecoderSpec


class KvMemory(Protocol):
    """Keys and values of every slot."""

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(2 * layers, slots, kv heads, tokens, head dim)."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes reserved."""
        ...

    def view(self, part: int, first: int, last: int) -> DeviceArray:
        """Slots `first` up to, not with, `last` of one part, as the graph binds them."""
        ...

    def read(self, slot: int, length: int) -> NDArray[Any]:
        """Copy a slot's first tokens to the host: (2 * layers, kv heads, length, head dim)."""
        ...

    def write(self, slot: int, values: NDArray[Any]) -> None:
        """Copy what `read` gave over a slot's first tokens."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot over those of another."""
        ...


class HostKvMemory:
    """Keys and values in host memory, committed by the system page by page as it is first written."""

    def __init__(self, shape: tuple[int, int, int, int, int], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self._values = np.zeros(shape, dtype)
        self.nbytes = self._values.nbytes

    def view(self, part: int, first: int, last: int) -> DeviceArray:
        """Slots `first` up to, not with, `last` of one part."""
        return DeviceArray.of(self._values[part, first:last])

    def read(self, slot: int, length: int) -> NDArray[Any]:
        """Copy a slot's first tokens."""
        return self._values[:, slot, :, :length].copy()

    def write(self, slot: int, values: NDArray[Any]) -> None:
        """Copy values over a slot's first tokens."""
        self._values[:, slot, :, : values.shape[2]] = values

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot over those of another."""
        self._values[:, target, :, :length] = self._values[:, source, :, :length]


class CudaKvMemory:
    """Keys and values on a CUDA device. Copies go head by head: a slot's first tokens are contiguous only there."""

    def __init__(self, shape: tuple[int, int, int, int, int], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self._buffer = CudaBuffer(shape, dtype)
        self._dtype = dtype
        self.nbytes = int(np.prod(shape)) * dtype.itemsize

    def view(self, part: int, first: int, last: int) -> DeviceArray:
        """Slots `first` up to, not with, `last` of one part."""
        _, _, heads, tokens, dim = self.shape
        return self._run(part, first, 0, shape=(last - first, heads, tokens, dim))

    def read(self, slot: int, length: int) -> NDArray[Any]:
        """Copy a slot's first tokens to the host."""
        parts, _, heads, _, dim = self.shape
        values = np.empty((parts, heads, length, dim), self._dtype)
        for part, head in np.ndindex(parts, heads):
            target = DeviceArray.of(values[part, head].reshape(-1))
            self._buffer.copy(self._run(part, slot, head, shape=(length * dim,)), target)
        return values

    def write(self, slot: int, values: NDArray[Any]) -> None:
        """Copy host values over a slot's first tokens."""
        parts, heads, length, dim = values.shape
        values = np.ascontiguousarray(values)
        for part, head in np.ndindex(parts, heads):
            source = DeviceArray.of(values[part, head].reshape(-1))
            self._buffer.copy(source, self._run(part, slot, head, shape=(length * dim,)))

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot over those of another, on the device."""
        parts, _, heads, _, dim = self.shape
        for part, head in np.ndindex(parts, heads):
            self._buffer.copy(
                self._run(part, source, head, shape=(length * dim,)),
                self._run(part, target, head, shape=(length * dim,)),
            )

    def _run(self, part: int, slot: int, head: int, *, shape: tuple[int, ...]) -> DeviceArray:
        _, slots, heads, tokens, dim = self.shape
        offset = ((part * slots + slot) * heads + head) * tokens * dim * self._dtype.itemsize
        return DeviceArray("cuda", self._buffer.array.address + offset, shape, self._dtype)


def allocate_kv(spec: DecoderSpec, *, num_slots: int, max_context_tokens: int, device: str) -> KvMemory:
    """Reserve zeroed keys and values for `num_slots` sequences on the session's device."""
    shape = (2 * spec.num_layers, num_slots, spec.num_kv_heads, max_context_tokens, spec.head_dim)
    kind = CudaKvMemory if device == "cuda" else HostKvMemory
    return kind(shape, np.dtype(spec.kv_dtype))
