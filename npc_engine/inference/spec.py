"""What a model folder says of its graph: the contract between the builder and the runtime."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from npc_engine.errors import CorruptModel

Precision = Literal["int4", "int8", "fp16", "fp32"]
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
            if set(data) != names:
                raise ValueError(f"keys differ: {sorted(set(data) ^ names)}")
            return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CorruptModel(f"{path}: {error}", hint="npc-engine models verify NAME, then pull it again") from error

    def save(self, path: Path) -> None:
        """Write the file, UTF-8, indented."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")  # type: ignore[call-overload]


@dataclass(frozen=True, kw_only=True)
class DecoderSpec(_Spec):
    """A decoder graph. `max_context_tokens` is the model's own limit, not a slot's length."""

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


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(_Spec):
    """An encoder graph: mean-pooled, L2-normalised sentence embeddings."""

    architecture: str
    hidden_size: int
    max_tokens: int
