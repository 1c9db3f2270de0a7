"""Turn a published three-way classifier into a model folder: the exporter's graph, int8, and its label order.

torch, transformers and optimum are imported when a model is exported and never otherwise (the `export` extra). Only
safetensors are read: pickled weights would be a program.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npc_engine.config import EngineConfig
from npc_engine.errors import ExportExtraMissing, ExportFailed, InvalidModelFile
from npc_engine.inference.classifier import PairClassifier
from npc_engine.inference.nli_labels import NLI_LABELS, label_columns
from npc_engine.inference.spec import ClassifierSpec
from npc_engine.models.cache import delete, disk_errors

MAX_PAIR_TOKENS = 256
"""Tokens a pair is cut to at most: a fact and a spoken sentence have 20 to 60 (tests/data/nli_pairs.jsonl)."""

_NEEDED = ("torch", "transformers", "optimum", "optimum.onnxruntime")
_INSTALL = "pip install 'npc-dialogue-engine[export]'"

# What int8 is compared with float32 on: a few pairs of each label, spoken as characters speak.
_PROBES = (
    ("I charge 40 crowns for a short sword.", "A short sword? Forty crowns."),
    ("I charge 40 crowns for a short sword.", "You can have the short sword for 25."),
    ("I charge 40 crowns for a short sword.", "The short sword has a leather grip."),
    ("My shop is closed on Sundays.", "Come by on Sunday, I'm open all day."),
    ("My shop is closed on Sundays.", "On a Sunday you'd stand before a locked door."),
    ("My daughter is a silversmith in the capital.", "I never had any children."),
    ("My daughter is a silversmith in the capital.", "My girl works silver."),
    ("My daughter is a silversmith in the capital.", "She writes to me every month."),
    ("I cannot swim, and deep water frightens me.", "I swim across the river every morning."),
    ("I cannot swim, and deep water frightens me.", "I'd rather stay out of the lake."),
    ("The old bridge was carried off by the flood.", "The old bridge still stands."),
    ("The old bridge was carried off by the flood.", "The market is on Saturdays."),
)


@dataclass(frozen=True)
class Agreement:
    """What quantizing changed, on built-in pairs.

    Attributes:
        num_pairs: How many were compared.
        num_same: Pairs whose most probable label is the same in int8 and float32.
        max_difference: Largest difference of a probability.
    """

    num_pairs: int
    num_same: int
    max_difference: float

    def __str__(self) -> str:
        return (
            f"int8 against float32 on {self.num_pairs} pairs: {self.num_same} have the same label, "
            f"probabilities differ by {self.max_difference:.3f} at most"
        )


def read_labels(source: Path, given: Sequence[str] | None) -> tuple[str, ...]:
    """The labels of a published folder in the order of its logits, lower-case.

    Args:
        source: A folder with config.json.
        given: What the user says they are, in the order of the logits; None takes `id2label` of config.json.

    Raises:
        UnsupportedLabels: They are not the three of inference.
        InvalidModelFile: config.json has no readable `id2label`.
    """
    path = source / "config.json"
    if given is None:
        try:
            by_id = json.loads(path.read_text(encoding="utf-8"))["id2label"]
            given = [str(label) for _, label in sorted((int(key), label) for key, label in by_id.items())]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidModelFile(
                f"{path}: no readable id2label: {error!r}",
                hint="use a text classifier's folder as it was published, or name the labels with --labels",
            ) from error
    columns = label_columns(given, model=str(source))
    return tuple(label for _, label in sorted(zip(columns, NLI_LABELS, strict=True)))


def require_export_extra() -> None:
    """Check that torch and optimum are there.

    Raises:
        ExportExtraMissing: One is not.
    """
    missing = []
    for name in _NEEDED:
        try:
            is_there = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            is_there = False
        if not is_there:
            missing.append(name)
    if missing:
        raise ExportExtraMissing(f"a classifier is converted by {missing[0]}, which is not installed", hint=_INSTALL)


def export_classifier(source: Path, out: Path, *, labels: Sequence[str]) -> tuple[ClassifierSpec, Agreement]:
    """Write classifier.onnx (int8), classifier.json and tokenizer.json.

    Args:
        source: A published folder: safetensors, config.json, the tokenizer's files.
        out: An existing, empty folder. The float32 graph lies in it meanwhile and is deleted.
        labels: Of the logits, in their order; see `read_labels`.

    Raises:
        ExportExtraMissing: torch or optimum is not installed.
        ExportFailed: They refuse the model, or it has other logits than `labels`.
        DiskFull, ModelError: `out` cannot be written.
    """
    require_export_extra()
    work = out / "export"
    with disk_errors(out):
        work.mkdir()
        try:
            config = _export(source, work)
            architecture, hidden_size, max_tokens = _sizes(config)
            spec = ClassifierSpec(
                architecture=architecture,
                hidden_size=hidden_size,
                max_tokens=max_tokens,
                labels=tuple(labels),
                temperature=1.0,
            )
            for folder in (work, out):
                spec.save(folder / "classifier.json")
            (out / "tokenizer.json").write_bytes((work / "tokenizer.json").read_bytes())
            quantize_classifier(work / "classifier.onnx", out / "classifier.onnx")
            return spec, _compare(work, out)
        finally:
            delete(work)


def quantize_classifier(source: Path, target: Path) -> None:
    """Write an int8 graph: weights per output channel when it is made, activations per tensor when it runs.

    Weights have 7 of the 8 bits: on CPUs without VNNI two products of 8-bit numbers do not fit their 16-bit sum, and
    such a CPU would come to other results. Source: onnxruntime's quantization guide ("reduce_range"). Measured
    on all-MiniLM-L6-v2: as fast, largest difference of a probability 0.047 instead of 0.035.

    Args:
        source: A float32 graph.
        target: Where the int8 graph goes.
    """
    import onnx

    graph = onnx.load(source).graph
    constants = {tensor.name for tensor in graph.initializer}
    # A product of two activations, as attention has them, loses more by int8 than it gains.
    with_weights = [
        node.name
        for node in graph.node
        if (node.op_type == "MatMul" and node.input[1] in constants)
        or (node.op_type == "Gather" and node.input[0] in constants)
    ]
    work = target.with_name(f"{target.stem}~int8")
    with _quiet():
        from optimum.onnxruntime import AutoQuantizationConfig, ORTQuantizer

        config = AutoQuantizationConfig.avx512_vnni(
            is_static=False,
            per_channel=True,
            nodes_to_quantize=with_weights,
            operators_to_quantize=["MatMul", "Gather"],
        )
        config.reduce_range = True
        try:
            ORTQuantizer(source).quantize(config, save_dir=work, file_suffix=None)
            (work / source.name).replace(target)
        finally:
            delete(work)


def _export(source: Path, work: Path) -> Any:
    """Run optimum's exporter; leaves classifier.onnx and tokenizer.json in `work`, returns the configuration."""
    with _quiet():
        from optimum.exporters.onnx import main_export
        from transformers import AutoConfig, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(source), use_fast=True)
            backend = tokenizer.backend_tokenizer
            backend.no_truncation()
            backend.enable_padding(pad_id=tokenizer.pad_token_id or 0, pad_token=tokenizer.pad_token or "[PAD]")
            backend.save(str(work / "tokenizer.json"))
            raw = work / "raw"
            main_export(
                str(source), output=raw, task="text-classification", device="cpu", dtype="fp32", do_validation=False
            )
            (raw / "model.onnx").replace(work / "classifier.onnx")
            return AutoConfig.from_pretrained(str(source))
        except OSError as error:
            if error.errno is not None:  # the disk; transformers raises OSError without a number for a file it misses
                raise
            raise _failed(source, error) from error
        except Exception as error:  # torch, transformers and optimum raise whatever they like
            raise _failed(source, error) from error


def _failed(source: Path, error: Exception) -> ExportFailed:
    said = str(error).strip().splitlines()
    return ExportFailed(
        f"{source}: {said[0] if said else type(error).__name__}",
        hint="only safetensors text classifiers that optimum-onnx knows can be imported; "
        "the folder needs config.json and the tokenizer's files",
    )


def _sizes(config: Any) -> tuple[str, int, int]:
    positions = int(getattr(config, "max_position_embeddings", 0) or MAX_PAIR_TOKENS)
    # RoBERTa counts its positions from the padding token's id plus 1, and has that many fewer.
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= int(config.pad_token_id) + 1
    hidden_size = int(getattr(config, "hidden_size", 0) or getattr(config, "dim", 0))
    return str(config.model_type), hidden_size, min(positions, MAX_PAIR_TOKENS)


def _compare(reference: Path, quantized: Path) -> Agreement:
    config = EngineConfig(device="cpu")
    expected, got = (PairClassifier.load(folder, config=config).classify(_PROBES) for folder in (reference, quantized))
    return _agreement(expected, got)


def _agreement(expected: NDArray[np.float32], got: NDArray[np.float32]) -> Agreement:
    same = int((expected.argmax(axis=1) == got.argmax(axis=1)).sum())
    return Agreement(len(expected), same, float(np.abs(expected - got).max()))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's and tracer's remarks are for their own developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
