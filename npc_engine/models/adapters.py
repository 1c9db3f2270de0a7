"""Several LoRA adapters over one set of weights: their halves one below the other, for a graph that picks rows of them.

An adapter of rank r is r rows in every stack, in the order of the adapters, so that a graph which is told the rows of
those in use computes `y = W x + b[rows]^T (mask * (a[rows] x))` for a batch in which each row speaks with its own. The
scale is folded into b. What an adapter does not change has zeros. Sources: Hu et al. 2021, LoRA; Chen et al. 2023,
Punica, which gathers rows of stacked adapters for a mixed batch likewise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npc_engine.errors import InvalidAdapter, UnsupportedAdapter
from npc_engine.models.lora import LINEAR_MODULES, LoraAdapter, check_fits, read_adapter
from npc_engine.models.weights import WeightSource

MAX_ADAPTER_NAME_CHARS = 60
"""As a sheet, which names it, has it."""
_NAME = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")

Part = tuple[str, int, int]
"""A matrix of a product: its name (`blk.0.attn_q`), rows and columns."""


@dataclass(frozen=True, kw_only=True)
class Halves:
    """What a product's adapters add, one row of both arrays a unit of rank.

    Attributes:
        a: (rows, num_parts * columns) float32, the parts' first halves side by side.
        b: (rows, num_parts * outputs) float32, scaled; each part's outputs lie in its own place, zeros elsewhere.
        num_parts: Matrices of the product that some adapter changes.
    """

    a: NDArray[np.float32]
    b: NDArray[np.float32]
    num_parts: int


class AdapterStack:
    """Adapters by name, checked against the model that they go over.

    Args:
        adapters: By name, in the order of their numbers: the first is 1, and 0 is the model without any.
    """

    def __init__(self, adapters: Mapping[str, LoraAdapter]) -> None:
        self._adapters = tuple(adapters.values())
        self.names = tuple(adapters)
        self.ranks = tuple(adapter.rank for adapter in self._adapters)

    @property
    def owners(self) -> NDArray[np.int64]:
        """(rows,) int64: the number of the adapter that each row is of."""
        return np.repeat(np.arange(1, len(self.ranks) + 1, dtype=np.int64), self.ranks)

    def halves(self, parts: Sequence[Part]) -> Halves | None:
        """The stacks of the product that these parts form together; None where no adapter changes any of them."""
        changed = [part for part in parts if any(f"{part[0]}.weight" in each.pairs for each in self._adapters)]
        if not changed:
            return None
        names, outputs = [name for name, _, _ in parts], sum(rows for _, rows, _ in parts)
        total = sum(self.ranks)
        a = np.zeros((total, len(changed), parts[0][2]), np.float32)
        b = np.zeros((total, len(changed), outputs), np.float32)
        first = 0
        for adapter, rank in zip(self._adapters, self.ranks, strict=True):
            for place, (name, rows, _) in enumerate(changed):
                pair = adapter.pairs.get(f"{name}.weight")
                if pair is not None:
                    a[first : first + pair.rank, place] = pair.a
                    start = sum(each for _, each, _ in parts[: names.index(name)])
                    b[first : first + pair.rank, place, start : start + rows] = np.float32(pair.scale) * pair.b.T
            first += rank
        return Halves(a=a.reshape(total, -1), b=b.reshape(total, -1), num_parts=len(changed))


def stack_adapters(source: WeightSource, folders: Mapping[str, Path]) -> AdapterStack:
    """Read adapters and check each against the model that they will share.

    Args:
        source: The model.
        folders: Each adapter's folder by the name that sheets will have for it.

    Raises:
        InvalidAdapter, UnsupportedAdapter: As `read_runtime_adapter`.
        AdapterMismatch: As `lora.merge`.
    """
    adapters = {name: read_runtime_adapter(name, folder) for name, folder in folders.items()}
    for adapter in adapters.values():
        check_fits(source, adapter)
    return AdapterStack(adapters)


def read_runtime_adapter(name: str, folder: Path) -> LoraAdapter:
    """Read an adapter that is to be chosen while the model runs.

    Raises:
        InvalidAdapter: As `lora.read_adapter`; or the name cannot be one.
        UnsupportedAdapter: As `lora.read_adapter`; or it changes biases, which only a merge can.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_ADAPTER_NAME_CHARS:
        raise InvalidAdapter(
            f"{name!r} cannot be an adapter's name: letters a-z, digits, and - _ . between them",
            hint=f"name it before its folder: --adapters NAME={folder}",
        )
    adapter = read_adapter(folder)
    if adapter.biases or adapter.bias_changes:
        raise UnsupportedAdapter(
            f"{folder}: it changes biases, which cannot be chosen while the model runs",
            hint='merge it (--adapter), or train it with bias = "none" and lora_bias = false',
        )
    return adapter


def describe(adapter: LoraAdapter) -> str:
    """One line for whoever installs it: rank, modules, what it was trained on."""
    parts = {name.split(".")[2] for name in adapter.pairs}
    modules = ", ".join(module for part, module in LINEAR_MODULES.items() if part in parts)
    return f"rank {adapter.rank} on {modules}; trained on {adapter.base_model or 'an unnamed base model'}"
