"""Where keys and values lie: blocks [2 * layers, slots, kv heads, tokens, head dim] on a device, one a size class.

Part 2 * l holds the keys of layer l, part 2 * l + 1 its values. Slots are numbered through all blocks. Knows nothing of
who uses a slot.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from npc_engine.errors import KvBudgetTooSmall
from npc_engine.inference.onnx_session import DeviceArray, RowBuffer
from npc_engine.inference.snapshot_codec import KvLayout
from npc_engine.inference.spec import DecoderSpec

# The shortest slot worth planning; longer ones double. Chosen for short sheets: the shipped characters' prefixes take
# about 960 tokens, so that their talks begin in the next length.
SMALLEST_SLOT_TOKENS = 512

_log = logging.getLogger(__name__)

Shape = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class SizeClass:
    """Slots of one length.

    Attributes:
        num_tokens: Tokens each holds.
        num_slots: How many there are.
    """

    num_tokens: int
    num_slots: int


def plan_slots(
    budget_bytes: int | None, *, bytes_per_token: int, max_context_tokens: int, num_slots: int
) -> tuple[SizeClass, ...]:
    """Choose slot lengths that keep keys and values within a budget.

    At most two classes: a decode step runs the graph once a class at least, and each run reads all weights again
    (base: 45 ms of a step). One slot always takes the longest prompt. The others get the largest of 512, 1024, ...
    tokens at which all `num_slots` fit, and what is left makes as many of them as it can full length.

    Args:
        budget_bytes: Most bytes for all slots; None for full length throughout.
        bytes_per_token: Keys and values of one token in all layers.
        max_context_tokens: Tokens of the longest slot.
        num_slots: Slots wanted; fewer come back where the budget does not hold so many of the shortest.

    Returns:
        Classes, the longest first.

    Raises:
        KvBudgetTooSmall: Not even one sequence of `max_context_tokens` fits.
    """
    if budget_bytes is None:
        return (SizeClass(max_context_tokens, num_slots),)
    room = budget_bytes // bytes_per_token
    if room < max_context_tokens:
        raise KvBudgetTooSmall(
            f"kv_budget_bytes = {budget_bytes} does not hold one sequence of {max_context_tokens} tokens",
            hint=f"set kv_budget_bytes to {max_context_tokens * bytes_per_token} or more, or lower max_context_tokens",
        )
    if room >= num_slots * max_context_tokens:
        return (SizeClass(max_context_tokens, num_slots),)
    size, sizes = SMALLEST_SLOT_TOKENS, []
    while size < max_context_tokens:
        sizes.append(size)
        size *= 2
    if not sizes:
        return (SizeClass(max_context_tokens, room // max_context_tokens),)
    short = max((each for each in sizes if max_context_tokens + (num_slots - 1) * each <= room), default=sizes[0])
    count = min(num_slots, 1 + (room - max_context_tokens) // short)
    num_long = min(count, (room - count * short) // (max_context_tokens - short))
    classes = (SizeClass(max_context_tokens, num_long), SizeClass(short, count - num_long))
    return tuple(each for each in classes if each.num_slots > 0)


class KvMemory(Protocol):
    """Keys and values of every slot. Addresses do not change while it lives."""

    @property
    def layout(self) -> KvLayout:
        """What keys and values of one token look like."""
        ...

    @property
    def classes(self) -> tuple[SizeClass, ...]:
        """The size class of each block, in the order of the slots' numbers."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes reserved."""
        ...

    def view(self, part: int, first: int, last: int) -> DeviceArray:
        """Slots `first` up to, not with, `last` of one part, as the graph binds them; all of one block."""
        ...

    def read(self, slot: int, stop: int, *, start: int = 0) -> NDArray[Any]:
        """Copy a slot's tokens `start` to `stop` to the host: (2 * layers, kv heads, stop - start, head dim)."""
        ...

    def write(self, slot: int, values: NDArray[Any], *, start: int = 0) -> None:
        """Copy what `read` gave over a slot's tokens from `start` on."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot over those of another."""
        ...

    def exchange(self, left: int, right: int, *, num_left: int, num_right: int) -> None:
        """Copy the first `num_left` tokens of one slot to the other and its first `num_right` back."""
        ...


class HostKvMemory:
    """One block in host memory, committed by the system page by page as it is first written."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.classes = (SizeClass(shape[3], shape[1]),)
        self.layout = KvLayout(parts=shape[0], heads=shape[2], head_dim=shape[4], dtype=dtype)
        self._values = np.zeros(shape, dtype)
        self.nbytes = self._values.nbytes

    def view(self, part: int, first: int, last: int) -> DeviceArray:
        """Slots `first` up to, not with, `last` of one part."""
        return DeviceArray.of(self._values[part, first:last])

    def read(self, slot: int, stop: int, *, start: int = 0) -> NDArray[Any]:
        """Copy a slot's tokens to a new array."""
        return self._values[:, slot, :, start:stop].copy()

    def write(self, slot: int, values: NDArray[Any], *, start: int = 0) -> None:
        """Copy values over a slot's tokens."""
        self._values[:, slot, :, start : start + values.shape[2]] = values

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot over those of another."""
        self._values[:, target, :, :length] = self._values[:, source, :, :length]

    def exchange(self, left: int, right: int, *, num_left: int, num_right: int) -> None:
        """Swap the first tokens of two slots."""
        kept = self.read(left, num_left)
        self.copy(right, left, num_right)
        self.write(right, kept)


class DeviceKvMemory:
    """One block on a session's device: each call is one run of a copy graph over rows of `head dim` values.

    A slot's tokens are contiguous only within a head, so head by head a fork of `base` would take 112 copies. The graph
    takes row numbers instead. On a CPU it is only there to be tested: `HostKvMemory` needs no graph.
    """

    def __init__(self, shape: Shape, dtype: np.dtype[Any], *, device: Literal["cpu", "cuda"] = "cuda") -> None:
        self.classes = (SizeClass(shape[3], shape[1]),)
        self.layout = KvLayout(parts=shape[0], heads=shape[2], head_dim=shape[4], dtype=dtype)
        self._shape = shape
        parts, slots, heads, tokens, dim = shape
        self._rows = RowBuffer((parts * slots * heads * tokens, dim), dtype, device=device)
        self.nbytes = self._rows.nbytes

    def view(self, part: int, first: int, last: int) -> DeviceArray:
        """Slots `first` up to, not with, `last` of one part."""
        _, slots, heads, tokens, dim = self._shape
        return self._rows.view((part * slots + first) * heads * tokens, (last - first, heads, tokens, dim))

    def read(self, slot: int, stop: int, *, start: int = 0) -> NDArray[Any]:
        """Copy a slot's tokens to the host."""
        parts, _, heads, _, dim = self._shape
        return self._rows.read(self._numbers(slot, start, stop)).reshape(parts, heads, stop - start, dim)

    def write(self, slot: int, values: NDArray[Any], *, start: int = 0) -> None:
        """Copy host values over a slot's tokens."""
        numbers = self._numbers(slot, start, start + values.shape[2])
        self._rows.write(numbers, np.ascontiguousarray(values).reshape(len(numbers), values.shape[3]))

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot over those of another, on the device."""
        self._rows.copy(self._numbers(source, 0, length), self._numbers(target, 0, length))

    def exchange(self, left: int, right: int, *, num_left: int, num_right: int) -> None:
        """Swap the first tokens of two slots, on the device."""
        pairs = ((left, right, num_left), (right, left, num_right))
        self._rows.copy(
            np.concatenate([self._numbers(source, 0, length) for source, _, length in pairs]),
            np.concatenate([self._numbers(target, 0, length) for _, target, length in pairs]),
        )

    def _numbers(self, slot: int, start: int, stop: int) -> NDArray[np.int64]:
        """Rows of a slot's tokens, in the order that `read` gives them."""
        parts, slots, heads, tokens, _ = self._shape
        part, head, token = np.ogrid[:parts, :heads, start:stop]
        return (((part * slots + slot) * heads + head) * tokens + token).astype(np.int64).reshape(-1)


class BlockedKvMemory:
    """Several blocks as one memory. Slots of different blocks are copied through the host.

    Args:
        blocks: Each of one size class; slots are numbered through them in this order.
    """

    def __init__(self, blocks: Sequence[KvMemory]) -> None:
        self._blocks = tuple(blocks)
        self.layout = self._blocks[0].layout
        self.classes = tuple(size for block in self._blocks for size in block.classes)
        self._ends = tuple(accumulate(size.num_slots for size in self.classes))
        self.nbytes = sum(block.nbytes for block in self._blocks)

    def view(self, part: int, first: int, last: int) -> DeviceArray:
        """Slots `first` up to, not with, `last` of one part."""
        block, local = self._find(first)
        if self._find(last - 1)[0] is not block:
            raise ValueError(f"slots {first} to {last - 1} are of several size classes")
        return block.view(part, local, local + last - first)

    def read(self, slot: int, stop: int, *, start: int = 0) -> NDArray[Any]:
        """Copy a slot's tokens to the host."""
        block, local = self._find(slot)
        return block.read(local, stop, start=start)

    def write(self, slot: int, values: NDArray[Any], *, start: int = 0) -> None:
        """Copy host values over a slot's tokens."""
        block, local = self._find(slot)
        block.write(local, values, start=start)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot over those of another."""
        (block, left), (other, right) = self._find(source), self._find(target)
        if block is other:
            block.copy(left, right, length)
        else:
            other.write(right, block.read(left, length))

    def exchange(self, left: int, right: int, *, num_left: int, num_right: int) -> None:
        """Swap the first tokens of two slots."""
        (block, here), (other, there) = self._find(left), self._find(right)
        if block is other:
            block.exchange(here, there, num_left=num_left, num_right=num_right)
        else:
            kept = block.read(here, num_left)
            block.write(here, other.read(there, num_right))
            other.write(there, kept)

    def _find(self, slot: int) -> tuple[KvMemory, int]:
        if not 0 <= slot < self._ends[-1]:
            raise IndexError(f"slot {slot} of {self._ends[-1]}")
        index = bisect_right(self._ends, slot)
        return self._blocks[index], slot - (self._ends[index - 1] if index else 0)


def allocate_kv(
    spec: DecoderSpec, *, num_slots: int, max_context_tokens: int, device: str, budget_bytes: int | None = None
) -> KvMemory:
    """Reserve zeroed keys and values on the session's device, in the slots of `plan_slots`.

    Raises:
        KvBudgetTooSmall: The budget does not hold one sequence. Nothing was reserved.
    """
    dtype = np.dtype(spec.kv_dtype)
    layout = KvLayout(parts=2 * spec.num_layers, heads=spec.num_kv_heads, head_dim=spec.head_dim, dtype=dtype)
    classes = plan_slots(
        budget_bytes, bytes_per_token=layout.nbytes, max_context_tokens=max_context_tokens, num_slots=num_slots
    )
    if (planned := sum(size.num_slots for size in classes)) < num_slots:
        _log.warning("kv_budget_bytes = %s holds %d of num_slots = %d", budget_bytes, planned, num_slots)
    kind = DeviceKvMemory if device == "cuda" else HostKvMemory
    blocks: list[KvMemory] = [
        kind((layout.parts, size.num_slots, layout.heads, size.num_tokens, layout.head_dim), dtype) for size in classes
    ]
    return blocks[0] if len(blocks) == 1 else BlockedKvMemory(blocks)
