"""A LoRA adapter as PEFT saves it (adapter_config.json, adapter_model.safetensors), merged into a decoder's weights.

A pair A (rank, inputs), B (outputs, rank) turns a matrix W (outputs, inputs) into `W + scale * B @ A`, scale being
`lora_alpha / rank`, or `lora_alpha / sqrt(rank)` with rank-stabilised adapters. Sources: Hu et al. 2021, LoRA;
Kalajdzievski 2023, rsLoRA. What runs afterwards is an ordinary model: it costs nothing at run time.

Covered: the seven products of a layer, biases that were trained along, `rank_pattern` and `alpha_pattern`. Not covered,
and refused: DoRA, whole modules saved beside the pairs, adapters of the embedding or the output matrix, adapters that
act on some tokens only, and initialisations that changed the base model's own weights (PiSSA and the like).
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from gguf import GGMLQuantizationType as GgmlType
from numpy.typing import NDArray

from npc_engine.errors import AdapterMismatch, InvalidAdapter, InvalidModelFile, UnsupportedAdapter, UnsupportedTensor
from npc_engine.models.cache import sha256_of
from npc_engine.models.hf import canonical_name, map_safetensors
from npc_engine.models.weights import SourceTensor, WeightSource

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

LINEAR_MODULES: Mapping[str, str] = {
    "attn_q": "q_proj",
    "attn_k": "k_proj",
    "attn_v": "v_proj",
    "attn_output": "o_proj",
    "ffn_gate": "gate_proj",
    "ffn_up": "up_proj",
    "ffn_down": "down_proj",
}
"""What an adapter may change: GGUF's name of each product, and the published one."""

_PREFIX = "base_model.model."
# Beyond any rank or alpha that was ever trained; keeps a damaged file's number within a float.
_LARGEST_SETTING = 1e9
_SAVE_AGAIN = "save the adapter again with PEFT's save_pretrained and copy the whole folder"
# The others move a part of the base model's weights into the pair, which then fits no published base model.
_LEAVES_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")
_FLOATS = frozenset(("F32", "F16", "BF16"))

# Each changes what is merged, or when it acts. Source: LoraConfig of PEFT 0.18 and later.
_NOT_A_PLAIN_SUM = (
    "modules_to_save",
    "trainable_token_indices",
    "layer_replication",
    "target_parameters",
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
)

_Half = Literal["lora_A", "lora_B"]


@dataclass(frozen=True, kw_only=True)
class LoraPair:
    """What is added to one matrix: `scale * b @ a`.

    Args:
        a: (rank, inputs) float32.
        b: (outputs, rank) float32.
        scale: lora_alpha over the rank, or over its root.
    """

    a: NDArray[np.float32]
    b: NDArray[np.float32]
    scale: float

    @property
    def rank(self) -> int:
        """Rows of a, columns of b."""
        return len(self.a)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix it is added to: (outputs, inputs)."""
        return self.b.shape[0], self.a.shape[1]

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows [start, stop) of `scale * b @ a`, (stop - start, inputs) float32."""
        changes = (self.b[start:stop] * np.float32(self.scale)) @ self.a
        return np.asarray(changes, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class LoraAdapter:
    """A checked adapter, its tensors in memory, under GGUF's names of what they change.

    Attributes:
        folder: Where it was read.
        pairs: By matrix, such as `blk.0.attn_q.weight`.
        biases: By bias, such as `blk.0.attn_q.bias`: (outputs,) float32 in place of the base model's.
        bias_changes: Likewise, added to the base model's; already scaled.
        base_model: What the adapter says it was trained on, or "".
        files: For the manifest: each file's size and SHA-256.
    """

    folder: Path
    pairs: Mapping[str, LoraPair]
    biases: Mapping[str, NDArray[np.float32]]
    bias_changes: Mapping[str, NDArray[np.float32]]
    base_model: str
    files: Mapping[str, Mapping[str, Any]]

    @property
    def rank(self) -> int:
        """The largest rank of its pairs."""
        return max(pair.rank for pair in self.pairs.values())

    def describe(self) -> dict[str, Any]:
        """What a manifest records: path, base, rank, module names, files with size and SHA-256."""
        parts = {name.split(".")[2] for name in self.pairs}
        return {
            "path": str(self.folder.absolute()),
            "base_model": self.base_model,
            "rank": self.rank,
            "modules": [module for part, module in LINEAR_MODULES.items() if part in parts],
            "files": {name: dict(file) for name, file in self.files.items()},
        }


@dataclass(frozen=True, kw_only=True)
class MergedTensor(SourceTensor):
    """A base model's matrix with a pair added: rows are computed when they are asked for.

    `float_rows` is the exact sum. `stored` is F32 where the base model's matrix was a float, and the build rounds it
    as it rounds any. A matrix that was quantized is stored in 8 bits: a trained change is small against a 4-bit step,
    and rounding to one a second time would lose much of it (docs/log.md has the figures).
    """

    pair: LoraPair
    base: SourceTensor

    def float_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows [start, stop), float32."""
        return self.base.float_rows(start, stop) + self.pair.rows(start, stop)

    def raw_rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows [start, stop) as `stored`."""
        rows = self.float_rows(start, stop)
        if self.stored == "F32":
            return rows
        return np.asarray(gguf.quants.quantize(rows, GgmlType[self.stored]))


def read_adapter(folder: Path) -> LoraAdapter:
    """Read and check an adapter's folder, as far as that goes without its base model.

    Raises:
        InvalidAdapter: A file is missing or malformed, half of a pair is missing, the halves do not fit, or a number
            is not finite.
        UnsupportedAdapter: It is no LoRA, of a kind that cannot be merged, or changes something else than the
            products of `LINEAR_MODULES`.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "not there"
        raise InvalidAdapter(
            f"{folder}: {what}; an adapter is a folder", hint=f"name the folder that holds {CONFIG_FILE}"
        )
    config = _read_config(folder)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise InvalidAdapter(
            f"{folder}: {WEIGHTS_FILE} is missing",
            hint="adapter_model.bin may run code when it is read; convert it to safetensors"
            if pickled
            else _SAVE_AGAIN,
        )
    try:
        tensors = map_safetensors(weights)
    except (InvalidModelFile, UnsupportedTensor) as error:
        raise InvalidAdapter(error.message, hint=_SAVE_AGAIN) from error
    except ValueError as error:  # a tensor of no numbers at the end of the file
        raise InvalidAdapter(f"{weights}: {error}", hint=_SAVE_AGAIN) from error
    halves: dict[str, dict[_Half, NDArray[np.float32]]] = {}
    biases: dict[str, NDArray[np.float32]] = {}
    added: dict[str, NDArray[np.float32]] = {}
    published: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for name, tensor in tensors.items():
        module, kind = _split(weights, name)
        target = _target(weights, module)
        if not tensor.shape or not min(tensor.shape):
            raise InvalidAdapter(f"{weights}: tensor {name} has shape {tensor.shape}", hint=_SAVE_AGAIN)
        if (target, kind) in seen:
            raise InvalidAdapter(f"{weights}: holds {kind} of {module} twice", hint=_SAVE_AGAIN)
        seen.add((target, kind))
        values = tensor.floats()
        if not np.isfinite(values).all():
            raise InvalidAdapter(
                f"{weights}: tensor {name} holds NaN or infinity", hint="the training diverged; use an earlier state"
            )
        published[target] = module
        if kind == "bias":
            biases[f"{target}.bias"] = values
        elif kind == "lora_B.bias":
            added[f"{target}.bias"] = values
        else:
            halves.setdefault(target, {})["lora_A" if kind == "lora_A.weight" else "lora_B"] = values
    if not halves:
        raise InvalidAdapter(f"{weights}: holds no LoRA pair", hint=_SAVE_AGAIN)
    pairs = {f"{target}.weight": _pair(weights, published[target], halves[target], config) for target in halves}
    stray = next((name for name in added if name.replace(".bias", ".weight") not in pairs), None)
    if stray is not None:
        raise InvalidAdapter(
            f"{weights}: {published[stray.removesuffix('.bias')]} has a lora_B.bias and no pair", hint=_SAVE_AGAIN
        )
    return LoraAdapter(
        folder=folder,
        pairs=pairs,
        biases=biases,
        bias_changes={
            name: values * np.float32(pairs[name.replace(".bias", ".weight")].scale) for name, values in added.items()
        },
        base_model=str(config.get("base_model_name_or_path") or ""),
        files={
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in (folder / CONFIG_FILE, weights)
        },
    )


def merge(source: WeightSource, adapter: LoraAdapter) -> WeightSource:
    """The same model with the adapter's changes; nothing is computed before rows are asked for.

    Raises:
        AdapterMismatch: The adapter was made for another base model: it has a layer or a bias that this one lacks,
            or a matrix of another shape.
    """
    tensors = dict(source.tensors)
    for name, pair in adapter.pairs.items():
        tensors[name] = _merged(_base(source, adapter, name, pair.shape), pair)
    for name, values in adapter.biases.items():
        tensors[name] = _float_vector(_base(source, adapter, name, values.shape), values)
    for name, change in adapter.bias_changes.items():
        bias = _base(source, adapter, name, change.shape)
        tensors[name] = _float_vector(bias, tensors[name].floats() + change)
    return dataclasses.replace(source, tensors=tensors)


def check_fits(source: WeightSource, adapter: LoraAdapter) -> None:
    """Check that the model has everything the adapter's pairs change, in the same shapes.

    Raises:
        AdapterMismatch: As `merge`.
    """
    for name, pair in adapter.pairs.items():
        _base(source, adapter, name, pair.shape)


def _merged(base: SourceTensor, pair: LoraPair) -> MergedTensor:
    stored = "F32" if base.stored in _FLOATS else "Q8_0"
    return MergedTensor(
        name=base.name, shape=base.shape, stored=stored, raw=base.raw, decode=base.decode, pair=pair, base=base
    )


def _float_vector(base: SourceTensor, values: NDArray[np.float32]) -> SourceTensor:
    return SourceTensor(name=base.name, shape=base.shape, stored="F32", raw=values, decode=_as_is)


def _as_is(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(rows, np.float32)


def _base(source: WeightSource, adapter: LoraAdapter, name: str, shape: tuple[int, ...]) -> SourceTensor:
    """The tensor that is changed, in rows of the published order: a GGUF's own order of q and k is already undone."""
    _, layer, part, kind = name.split(".")
    where = f"{adapter.folder}: {LINEAR_MODULES[part]} of layer {layer}"
    trained_on = f"it was trained on {adapter.base_model}" if adapter.base_model else "it names no base model"
    hint = f"give the model that the adapter was trained on; {trained_on}"
    if int(layer) >= source.config.num_layers:
        raise AdapterMismatch(f"{where}: {source.path} has {source.config.num_layers} layers", hint=hint)
    found = source.tensors.get(name)
    if found is None:
        raise AdapterMismatch(f"{where}: {source.path} has no {kind} there", hint=hint)
    if found.shape != shape:
        raise AdapterMismatch(f"{where}: changes a {kind} of shape {shape}, {source.path} has {found.shape}", hint=hint)
    return found


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidAdapter(f"{folder}: {CONFIG_FILE} is missing", hint=_SAVE_AGAIN) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidAdapter(f"{path}: {error}", hint=_SAVE_AGAIN) from error
    if not isinstance(config, dict):
        raise InvalidAdapter(f"{path}: not a JSON object", hint=_SAVE_AGAIN)
    if config.get("peft_type") != "LORA":
        raise UnsupportedAdapter(f"{path}: peft_type is {config.get('peft_type')!r}", hint="only LORA can be merged")
    for key in _NOT_A_PLAIN_SUM:
        if config.get(key):
            raise UnsupportedAdapter(
                f"{path}: {key} is {config[key]!r}",
                hint="merge the adapter with the tool that trained it, and import the merged safetensors folder",
            )
    initial = config.get("init_lora_weights", True)
    if initial not in _LEAVES_THE_BASE:
        raise UnsupportedAdapter(
            f"{path}: init_lora_weights {initial!r} changed the base model's weights as well",
            hint="save the adapter converted to plain LoRA (path_initial_model_for_weight_conversion)",
        )
    return config


def _split(path: Path, name: str) -> tuple[str, Literal["lora_A.weight", "lora_B.weight", "lora_B.bias", "bias"]]:
    """The published module that a saved tensor belongs to, and which of its tensors it is."""
    module = name.removeprefix(_PREFIX)
    kinds: tuple[Literal["lora_A.weight", "lora_B.weight", "lora_B.bias"], ...]
    kinds = ("lora_A.weight", "lora_B.weight", "lora_B.bias")
    for kind in kinds:
        if module.endswith(f".{kind}"):
            return module.removesuffix(f".{kind}"), kind
    if module.endswith(".bias"):
        return module.removesuffix(".bias").removesuffix(".base_layer"), "bias"
    raise UnsupportedAdapter(
        f"{path}: tensor {name} is no half of a pair and no bias",
        hint=f"train without modules_to_save, on: {', '.join(LINEAR_MODULES.values())}",
    )


def _target(path: Path, module: str) -> str:
    """GGUF's name of a module, without `.weight`."""
    name = canonical_name(f"{module}.weight").removesuffix(".weight")
    layer, part = re.fullmatch(r"blk\.(\d+)\.(\w+)", name) is not None, name.rpartition(".")[2]
    if not layer or part not in LINEAR_MODULES:
        raise UnsupportedAdapter(
            f"{path}: changes {module}, which is no product of a decoder layer",
            hint=f"train it on: {', '.join(LINEAR_MODULES.values())}",
        )
    return name


def _pair(path: Path, module: str, halves: Mapping[_Half, NDArray[np.float32]], config: Mapping[str, Any]) -> LoraPair:
    if len(halves) < 2:
        (present,) = halves
        raise InvalidAdapter(f"{path}: {module} has only its {present}", hint=_SAVE_AGAIN)
    a, b = halves["lora_A"], halves["lora_B"]
    rank = _setting(path, module, config, "r", "rank_pattern")
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or a.shape[0] != rank:
        raise InvalidAdapter(
            f"{path}: {module}: lora_A {a.shape} and lora_B {b.shape} are no pair of rank {rank:g}", hint=_SAVE_AGAIN
        )
    alpha = _setting(path, module, config, "lora_alpha", "alpha_pattern")
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    if scale * rank * float(np.abs(a).max()) * float(np.abs(b).max()) > float(np.finfo(np.float32).max):
        raise InvalidAdapter(
            f"{path}: {module}: the product of its halves exceeds what a float holds",
            hint="the training diverged; use an earlier state",
        )
    # fan_in_fan_out tells how the trainer held the base matrix; the saved halves are the same either way.
    return LoraPair(a=a, b=b, scale=scale)


def _setting(path: Path, module: str, config: Mapping[str, Any], key: str, patterns: str) -> float:
    """A number of the configuration, or what the first pattern that fits the module's name says instead."""
    where = path.with_name(CONFIG_FILE)
    value = config.get(key)
    overrides = config.get(patterns) or {}
    try:
        for pattern, other in overrides.items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                value = other
                break
    except (AttributeError, re.error, RecursionError) as error:
        raise InvalidAdapter(f"{where}: {patterns}: {error}", hint=_SAVE_AGAIN) from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LARGEST_SETTING:
        raise InvalidAdapter(f"{where}: {key} of {module} is {value!r}, not a positive number", hint=_SAVE_AGAIN)
    return float(value)
