"""Read a published model folder: config.json, *.safetensors (one file or shards), tokenizer.json.

Tensors are views of memory-mapped files, in float32, float16 or bfloat16. Covered: Llama, Qwen2/2.5 and Qwen3 decoders
(RoPE unscaled, linear or llama3), and BERT sentence encoders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from npc_engine.errors import InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor
from npc_engine.models.tokenizer import tokenizer_from_json
from npc_engine.models.weights import (
    ARCHITECTURES,
    MAX_ROPE_POSITIONS,
    DecoderConfig,
    SourceTensor,
    TensorSet,
    WeightSource,
    check_config,
    llama3_frequencies,
    rope_inverse_frequencies,
)

_READ_AGAIN = "the download may be incomplete; fetch the folder again"
_STORED = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}

_TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """A BERT encoder's hyper-parameters."""

    num_layers: int
    num_heads: int
    hidden_size: int
    intermediate_size: int
    vocab_size: int
    max_positions: int
    layer_norm_eps: float


@dataclass(frozen=True, kw_only=True)
class EncoderSource(TensorSet):
    """A BERT encoder's numbers and tensors, under their published names."""

    config: BertConfig


def open_hf_decoder(folder: Path) -> WeightSource:
    """Map a decoder's folder.

    Raises:
        InvalidModelFile: A file is missing, cut short or malformed.
        UnsupportedArchitecture: The model, or its RoPE scaling, is not of the supported families.
        UnsupportedTensor: A tensor is stored in another type than float32, float16 or bfloat16.
    """
    raw = _read_config(folder)
    architecture = raw.get("model_type")
    if architecture not in ARCHITECTURES:
        raise UnsupportedArchitecture(
            f"{folder}: architecture {architecture!r} is not supported",
            hint=f"use a model of one of: {', '.join(ARCHITECTURES)}",
        )
    config = _checked(folder, lambda: _decoder_config(folder, raw))
    tensors = _map_tensors(folder)
    names = {name: canonical_name(name) for name in tensors}
    if raw.get("tie_word_embeddings", False):
        names.pop("lm_head.weight", None)
    return WeightSource(
        path=str(folder),
        config=config,
        tensors={new: tensors[old] for old, new in names.items()},
        load_tokenizer=partial(tokenizer_from_json, folder / "tokenizer.json"),
        eos_token_ids=_checked(folder, lambda: _eos_ids(folder, raw)),
    )


def open_hf_encoder(folder: Path) -> EncoderSource:
    """Map a BERT encoder's folder.

    Raises:
        InvalidModelFile, UnsupportedTensor: As `open_hf_decoder`.
        UnsupportedArchitecture: It is not BERT with GELU and absolute positions.
    """
    raw = _read_config(folder)
    kind = raw.get("model_type"), raw.get("hidden_act", "gelu"), raw.get("position_embedding_type", "absolute")
    if kind != ("bert", "gelu", "absolute"):
        raise UnsupportedArchitecture(f"{folder}: {kind} is not supported", hint="use a BERT sentence encoder")
    config = _checked(
        folder,
        lambda: BertConfig(
            num_layers=int(raw["num_hidden_layers"]),
            num_heads=int(raw["num_attention_heads"]),
            hidden_size=int(raw["hidden_size"]),
            intermediate_size=int(raw["intermediate_size"]),
            vocab_size=int(raw["vocab_size"]),
            max_positions=int(raw["max_position_embeddings"]),
            layer_norm_eps=float(raw["layer_norm_eps"]),
        ),
    )
    tensors = {name.removeprefix("bert."): tensor for name, tensor in _map_tensors(folder).items()}
    return EncoderSource(path=str(folder), config=config, tensors=tensors)


def _checked(folder: Path, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except KeyError as error:
        raise InvalidModelFile(f"{folder}: config.json lacks {error.args[0]}", hint=_READ_AGAIN) from error
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InvalidModelFile(f"{folder}: config.json: {error}", hint=_READ_AGAIN) from error


def _read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidModelFile(f"{folder / name}: {error}", hint=_READ_AGAIN) from error
    if not isinstance(data, dict):
        raise InvalidModelFile(f"{folder / name}: not a JSON object", hint=_READ_AGAIN)
    return data


def _decoder_config(folder: Path, raw: Mapping[str, Any]) -> DecoderConfig:
    num_heads, hidden_size = int(raw["num_attention_heads"]), int(raw["hidden_size"])
    head_dim = int(raw.get("head_dim") or hidden_size // num_heads)
    config = DecoderConfig(
        architecture=raw["model_type"],
        num_layers=int(raw["num_hidden_layers"]),
        num_heads=num_heads,
        num_kv_heads=int(raw.get("num_key_value_heads") or num_heads),
        head_dim=head_dim,
        hidden_size=hidden_size,
        intermediate_size=int(raw["intermediate_size"]),
        vocab_size=int(raw["vocab_size"]),
        max_context_tokens=min(int(raw["max_position_embeddings"]), MAX_ROPE_POSITIONS),
        rms_norm_eps=float(raw["rms_norm_eps"]),
        inverse_frequencies=_inverse_frequencies(folder, raw, head_dim),
    )
    return check_config(folder, config)


def _inverse_frequencies(folder: Path, raw: Mapping[str, Any], head_dim: int) -> NDArray[np.float64]:
    # Newer configurations hold theta and scaling together in rope_parameters, older ones apart.
    scaling: Mapping[str, Any] = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    inverse = rope_inverse_frequencies(head_dim, float(scaling.get("rope_theta", raw.get("rope_theta", 10000.0))))
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return inverse
    if kind == "linear":
        return inverse / float(scaling["factor"])
    if kind == "llama3":
        return llama3_frequencies(
            inverse,
            factor=float(scaling["factor"]),
            low_freq_factor=float(scaling["low_freq_factor"]),
            high_freq_factor=float(scaling["high_freq_factor"]),
            original_context=int(scaling["original_max_position_embeddings"]),
        )
    raise UnsupportedArchitecture(
        f"{folder}: RoPE scaling {kind!r} is not supported", hint="use a model without it, or scaled linear or llama3"
    )


def _eos_ids(folder: Path, raw: Mapping[str, Any]) -> tuple[int, ...]:
    generation = folder / "generation_config.json"
    later = _read_config(folder, generation.name) if generation.is_file() else {}
    found: list[int] = []
    for value in (raw.get("eos_token_id"), later.get("eos_token_id")):
        found += value if isinstance(value, list) else [] if value is None else [value]
    return tuple(dict.fromkeys(map(int, found)))


def canonical_name(name: str) -> str:
    """GGUF's name of a published decoder tensor; one that has none keeps its own."""
    if name in _TOP:
        return _TOP[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    part, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{_LAYER[part]}.{kind}" if part in _LAYER else name


def _map_tensors(folder: Path) -> dict[str, SourceTensor]:
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = _read_config(folder, index.name).get("weight_map")
        wanted = set(shards.values()) if isinstance(shards, dict) else set()
        files = [file for file in files if file.name in wanted]
        if len(files) != len(wanted) or not wanted:
            missing = sorted(wanted - {file.name for file in files})
            raise InvalidModelFile(f"{folder}: shards are missing: {', '.join(missing)}", hint=_READ_AGAIN)
    tensors: dict[str, SourceTensor] = {}
    for file in files:
        tensors |= map_safetensors(file)
    return tensors


def map_safetensors(path: Path) -> dict[str, SourceTensor]:
    """Map one file: its float tensors under their own names.

    Raises:
        InvalidModelFile: It is cut short or malformed.
        UnsupportedTensor: A tensor is stored in another type than float32, float16 or bfloat16.
    """
    try:
        with safe_open(path, framework="numpy"):  # checks the header against the file's size
            pass
        data = np.memmap(path, mode="r")
        start = 8 + int(data[:8].view("<u8")[0])
        header = json.loads(data[8:start].tobytes())
    except (SafetensorError, OSError, ValueError) as error:
        raise InvalidModelFile(f"{path}: not a readable safetensors file: {error}", hint=_READ_AGAIN) from error
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        stored, shape = entry["dtype"], tuple(entry["shape"])
        if stored not in _STORED:
            if stored.startswith(("I", "U", "BOOL")):  # position ids and the like: no weights
                continue
            raise UnsupportedTensor(
                f"{path}: tensor {name} is stored as {stored}", hint=f"use one of: {', '.join(_STORED)}"
            )
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(data, np.uint8, end - begin, start + begin).view(_STORED[stored]).reshape(shape)
        decode = _widen_bfloat16 if stored == "BF16" else _to_float32
        tensors[name] = SourceTensor(name=name, shape=shape, stored=stored, raw=raw, decode=decode)
    return tensors


def _to_float32(rows: NDArray[Any]) -> NDArray[np.float32]:
    return rows.astype(np.float32)


def _widen_bfloat16(rows: NDArray[Any]) -> NDArray[np.float32]:
    """A bfloat16 is the upper half of a float32."""
    return (rows.astype(np.uint32) << np.uint32(16)).view(np.float32)
