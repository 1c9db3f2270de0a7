"""Read a GGUF file into a WeightSource.

The file is memory-mapped; only the header is parsed here. Covered: the Llama, Qwen2/2.5 and Qwen3 families, with RoPE
unscaled, linearly scaled, or scaled by the file's own factors (Llama 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as GgmlType
from numpy.typing import NDArray

from npc_engine.errors import InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor
from npc_engine.models.tokenizer import eos_ids_from_gguf, tokenizer_from_gguf
from npc_engine.models.weights import (
    ARCHITECTURES,
    MAX_ROPE_POSITIONS,
    DecoderConfig,
    SourceTensor,
    WeightSource,
    check_config,
    rope_inverse_frequencies,
)

READABLE_TYPES = frozenset(
    "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()  # noqa: SIM905
)

_READ_AGAIN = "the file may be cut short; download or convert it again"


class _BoundedReader(gguf.GGUFReader):
    """A reader that refuses to look past the end of the file.

    The stock reader gets an empty array there and goes on: a header cut inside an array would never end.
    """

    def _get(self, offset: Any, dtype: Any, count: Any = 1, override_order: Any = None) -> NDArray[Any]:
        if self.byte_order == "S":
            raise ValueError("big-endian files are not supported")
        return np.frombuffer(self.data, dtype, int(count), int(offset))


def open_gguf(path: Path) -> WeightSource:
    """Map the file and read its header.

    Raises:
        InvalidModelFile: It is not GGUF, is cut short, or lacks a hyper-parameter.
        UnsupportedArchitecture: The model, or its RoPE scaling, is not of the supported families.
        UnsupportedTensor: A tensor is stored in a type that cannot be read.
    """
    try:
        reader = _BoundedReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, OSError, MemoryError) as error:
        raise InvalidModelFile(f"{path}: not a readable GGUF file: {error}", hint=_READ_AGAIN) from error
    try:
        architecture = str(fields["general.architecture"])
        if architecture not in ARCHITECTURES:
            raise UnsupportedArchitecture(
                f"{path}: architecture {architecture!r} is not supported",
                hint=f"use a model of one of: {', '.join(ARCHITECTURES)}",
            )
        shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in reader.tensors}
        factors = next((t.data for t in reader.tensors if t.name == "rope_freqs.weight"), None)
        config = _config(path, fields, vocab_size=shapes["token_embd.weight"][0], rope_factors=factors)
    except KeyError as error:
        raise InvalidModelFile(f"{path}: {error.args[0]} is missing", hint=_READ_AGAIN) from error
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise InvalidModelFile(f"{path}: a hyper-parameter is wrong: {error}", hint=_READ_AGAIN) from error
    return WeightSource(
        path=str(path),
        config=config,
        tensors={tensor.name: _tensor(path, tensor, config) for tensor in reader.tensors},
        load_tokenizer=partial(tokenizer_from_gguf, fields),
        eos_token_ids=eos_ids_from_gguf(fields),
    )


def _config(
    path: Path, fields: Mapping[str, Any], *, vocab_size: int, rope_factors: NDArray[np.float32] | None
) -> DecoderConfig:
    architecture = fields["general.architecture"]

    def number(key: str) -> Any:
        return fields[f"{architecture}.{key}"]

    num_heads = int(number("attention.head_count"))
    hidden_size = int(number("embedding_length"))
    head_dim = int(fields.get(f"{architecture}.attention.key_length", hidden_size // num_heads))
    rotary_dim = int(fields.get(f"{architecture}.rope.dimension_count", head_dim))
    if rotary_dim != head_dim:
        raise UnsupportedArchitecture(
            f"{path}: RoPE over {rotary_dim} of {head_dim} dimensions is not supported",
            hint="use a model that rotates whole heads, as the Llama and Qwen families do",
        )
    scaling = str(fields.get(f"{architecture}.rope.scaling.type", "none"))
    if scaling not in ("none", "linear"):
        raise UnsupportedArchitecture(
            f"{path}: RoPE scaling {scaling!r} is not supported", hint="use a model without it, or scaled linearly"
        )
    inverse = rope_inverse_frequencies(head_dim, float(fields.get(f"{architecture}.rope.freq_base", 10000.0)))
    if scaling == "linear":
        inverse = inverse / float(number("rope.scaling.factor"))
    if rope_factors is not None:
        inverse = inverse / np.asarray(rope_factors, np.float64)
    config = DecoderConfig(
        architecture=architecture,
        num_layers=int(number("block_count")),
        num_heads=num_heads,
        num_kv_heads=int(fields.get(f"{architecture}.attention.head_count_kv", num_heads)),
        head_dim=head_dim,
        hidden_size=hidden_size,
        intermediate_size=int(number("feed_forward_length")),
        vocab_size=vocab_size,
        max_context_tokens=min(int(number("context_length")), MAX_ROPE_POSITIONS),
        rms_norm_eps=float(number("attention.layer_norm_rms_epsilon")),
        inverse_frequencies=inverse,
    )
    return check_config(path, config)


def _tensor(path: Path, tensor: gguf.ReaderTensor, config: DecoderConfig) -> SourceTensor:
    stored = tensor.tensor_type.name
    if stored not in READABLE_TYPES:
        raise UnsupportedTensor(
            f"{path}: tensor {tensor.name} is stored as {stored}",
            hint=f"use a file with one of: {', '.join(sorted(READABLE_TYPES))}",
        )
    shape = tuple(int(size) for size in reversed(tensor.shape))
    return SourceTensor(
        name=tensor.name,
        shape=shape,
        stored=stored,
        raw=tensor.data,
        decode=partial(_dequantize, kind=tensor.tensor_type),
        row_order=_rotary_row_order(tensor.name, shape[0], config),
    )


def _dequantize(rows: NDArray[Any], *, kind: GgmlType) -> NDArray[np.float32]:
    return np.asarray(gguf.quants.dequantize(rows, kind), np.float32)


def _rotary_row_order(name: str, num_rows: int, config: DecoderConfig) -> NDArray[np.int64] | None:
    """Where each half-split row is found in a Llama GGUF, which stores q and k rows with rotary pairs interleaved."""
    if config.architecture != "llama" or not name.startswith("blk."):
        return None
    if name.split(".")[2] not in ("attn_q", "attn_k") or num_rows % config.head_dim:
        return None
    rows = np.arange(num_rows, dtype=np.int64)
    return rows.reshape(-1, config.head_dim // 2, 2).swapaxes(1, 2).reshape(-1)
