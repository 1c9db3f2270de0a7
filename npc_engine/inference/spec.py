"""What a model folder says of its graph: the contract between the builder and the runtime."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from npc_engine.errors import CorruptModel

Precision = Literal["int4", "int8", "fp16", "fp32"]
PrefillPrecision = Literal["w8a8", "none"]
PrefillCode = Literal[100, 127]
KvDtype = Literal["float32", "float16"]


class _Spec:
    """Reading and writing one JSON object whose keys are the dataclass's fields."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            CorruptModel: The file is missing, is not JSON, or lacks or adds a key.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
            # Keys with a default came with a later version; a model built before does without them.
            needed = {field.name for field in fields(cls) if field.default is MISSING}  # type: ignore[arg-type]
            if not needed <= set(data) <= names:
                raise ValueError(f"keys differ: {sorted((needed - set(data)) | (set(data) - names))}")
            return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CorruptModel(f"{path}: {error}", hint="npc-engine models verify NAME, then pull it again") from error

    def save(self, path: Path) -> None:
        """Write the file, UTF-8, indented."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")  # type: ignore[call-overload]


@dataclass(frozen=True, kw_only=True)
class DecoderSpec(_Spec):
    """A decoder's graphs.

    Attributes:
        max_context_tokens: The model's own limit, not a slot's length.
        prefill_precision: Of `prefill.onnx`; `none` where the folder holds none.
        prefill_max_code: The largest of the prefill graph's weight codes: 127, or less where the processor that built
            it saturates.
        prefill_kl_nats: The gate's figure: mean KL divergence of the next token from the decode graph's, in nats. It
            is there too where it was too high and the prefill graph was left out.
        prefill_agreement: The share of the gate's positions at which both graphs put the same token first.
        adapters: Names of the LoRA adapters that a row may choose, in the order of their numbers, the first being 1.
        adapter_ranks: Of each, the rows that it has in the graph's stacks.
    """

    architecture: str
    precision: Precision
    kv_dtype: KvDtype
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    hidden_size: int
    vocab_size: int
    max_context_tokens: int
    top_k: int
    eos_token_ids: tuple[int, ...]
    prefill_precision: PrefillPrecision = "none"
    prefill_max_code: PrefillCode | None = None
    prefill_kl_nats: float | None = None
    prefill_agreement: float | None = None
    adapters: tuple[str, ...] = ()
    adapter_ranks: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(_Spec):
    """An encoder graph: mean-pooled, L2-normalised sentence embeddings."""

    architecture: str
    hidden_size: int
    max_tokens: int


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec(_Spec):
    """A classifier of pairs of texts.

    Attributes:
        max_tokens: Of a pair, special tokens counted.
        labels: The names in the order of the logits.
        temperature: What the logits are divided by before the softmax; 1 leaves them as trained.
    """

    architecture: str
    hidden_size: int
    max_tokens: int
    labels: tuple[str, ...]
    temperature: float
