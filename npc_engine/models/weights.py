"""What every weight reader hands to the graph builder: one model's numbers and its tensors, whatever the file format.

Tensors carry GGUF's names (`blk.0.attn_q.weight`); rows of q and k are in the half-split rotary order. Nothing is
copied out of the memory map before rows are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from npc_engine.errors import InvalidModelFile, UnsupportedTensor

Architecture = Literal["llama", "qwen2", "qwen3"]
ARCHITECTURES: tuple[Architecture, ...] = ("llama", "qwen2", "qwen3")

MAX_ROPE_POSITIONS = 32768
"""Longest context a graph is built for: beyond it the cos and sin tables outgrow their use on a game machine."""


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """A decoder's hyper-parameters.

    `inverse_frequencies` is (head_dim / 2,) float64, radians a position, with the model's RoPE scaling applied.
    """

    architecture: Architecture
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    hidden_size: int
    intermediate_size: int
    vocab_size: int
    max_context_tokens: int
    rms_norm_eps: float
    inverse_frequencies: NDArray[np.float64]


def check_config(path: Path, config: DecoderConfig) -> DecoderConfig:
    """The same configuration, if a graph can be built of its numbers.

    Raises:
        InvalidModelFile: A count is not positive, heads do not divide, or a factor is no finite number.
    """
    counts = (
        config.num_layers,
        config.num_heads,
        config.num_kv_heads,
        config.head_dim,
        config.hidden_size,
        config.intermediate_size,
        config.vocab_size,
        config.max_context_tokens,
    )
    is_sound = (
        min(counts) > 0
        and config.num_heads % config.num_kv_heads == 0
        and config.head_dim % 2 == 0
        and 0 < config.rms_norm_eps < 1
        and bool(np.isfinite(config.inverse_frequencies).all())
    )
    if not is_sound:
        raise InvalidModelFile(f"{path}: impossible hyper-parameters: {config}", hint="the file may be damaged")
    return config


@dataclass(frozen=True, kw_only=True)
class SourceTensor:
    """One stored tensor: a (rows, columns) matrix or a (rows,) vector.

    Args:
        name: GGUF's name of it.
        shape: Row-major logical shape, outputs first.
        stored: The storage type, in GGUF's spelling: `F32`, `F16`, `BF16`, `Q4_0`, `Q6_K`...
        raw: The stored rows, a view of the file.
        decode: Turns stored rows into float32.
        row_order: For each logical row the stored one; None where they agree.
    """

    name: str
    shape: tuple[int, ...]
    stored: str
    raw: NDArray[Any]
    decode: Callable[[NDArray[Any]], NDArray[np.float32]]
    row_order: NDArray[np.int64] | None = None

    @property
    def num_rows(self) -> int:
        """Rows of a matrix, elements of a vector."""
        return self.shape[0]

    def raw_rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows [start, stop) as stored."""
        return self.raw[start:stop] if self.row_order is None else self.raw[self.row_order[start:stop]]

    def float_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows [start, stop), float32, in the tensor's shape."""
        return self.decode(self.raw_rows(start, stop)).reshape(-1, *self.shape[1:])

    def floats(self) -> NDArray[np.float32]:
        """The whole tensor, float32."""
        return self.float_rows(0, self.num_rows)


@dataclass(frozen=True, kw_only=True)
class TensorSet:
    """A model's tensors by name, asked for by the shape they must have."""

    path: str
    tensors: Mapping[str, SourceTensor]

    def tensor(self, name: str, *shape: int) -> SourceTensor:
        """The tensor of that name, which must have that shape.

        Raises:
            UnsupportedTensor: It is missing, or shaped otherwise than the hyper-parameters say.
        """
        found = self.optional(name, *shape)
        if found is None:
            raise UnsupportedTensor(
                f"{self.path}: tensor {name} is missing", hint="the file may be only a part of a model"
            )
        return found

    def optional(self, name: str, *shape: int) -> SourceTensor | None:
        """As `tensor`, but None where the file has none."""
        found = self.tensors.get(name)
        if found is not None and found.shape != shape:
            raise UnsupportedTensor(f"{self.path}: tensor {name} has shape {found.shape}, expected {shape}")
        return found


@dataclass(frozen=True, kw_only=True)
class WeightSource(TensorSet):
    """A readable decoder: its numbers, its tensors under GGUF's names, its tokenizer.

    `load_tokenizer` builds the tokenizer anew at each call; it may raise UnsupportedTokenizer.
    """

    config: DecoderConfig
    load_tokenizer: Callable[[], Tokenizer]
    eos_token_ids: tuple[int, ...]


def rope_inverse_frequencies(head_dim: int, theta: float) -> NDArray[np.float64]:
    """(head_dim / 2,) float64: theta ** (-2i / head_dim). Source: Su et al. 2021, RoFormer."""
    return theta ** -(np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)


def llama3_frequencies(
    inverse: NDArray[np.float64],
    *,
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    original_context: int,
) -> NDArray[np.float64]:
    """Llama 3.1's RoPE scaling: long wavelengths are stretched by `factor`, short ones kept, those between blended.

    Source: the `llama3` rope type of the model's published configuration.
    """
    turns = original_context * inverse / (2 * np.pi)
    keep = np.clip((turns - low_freq_factor) / (high_freq_factor - low_freq_factor), 0, 1)
    return inverse * (keep + (1 - keep) / factor)
