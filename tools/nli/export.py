"""From trained weights to a classifier folder: the engine's exporter, then a temperature from held-out pairs."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npc_engine.config import EngineConfig
from npc_engine.inference.classifier import PairClassifier
from npc_engine.inference.spec import ClassifierSpec
from npc_engine.models.classifier_export import export_classifier
from tools.nli.evaluate import Score
from tools.nli.metrics import fit_temperature
from tools.nli.pairs import LABELS, Pair

CALIBRATION_PAIRS = 200
"""Pairs of each held-out set that the temperature is fitted on, none of them from a test set."""


def export(weights: Path, out: Path, *, calibration: Mapping[str, Sequence[Pair]], seed: int) -> ClassifierSpec:
    """Write classifier.onnx (int8), classifier.json with its temperature, tokenizer.json.

    Args:
        weights: Folder with config.json, model.safetensors, tokenizer.json.
        out: A folder that is made, or emptied of an earlier export.
        calibration: Held-out pairs by set.
        seed: Chooses `CALIBRATION_PAIRS` of each.

    Raises:
        ExportExtraMissing: torch or optimum is not installed.
        ExportFailed: The exporter refuses the weights.
    """
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "published"
        shutil.copytree(weights, published)
        # The exporter reads a tokenizer as the hub publishes it; the fast tokenizer's file says all but its class.
        (published / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "BertTokenizerFast", "pad_token": "[PAD]",'
            ' "cls_token": "[CLS]", "sep_token": "[SEP]"}\n',
            encoding="utf-8",
        )
        out.mkdir(parents=True, exist_ok=True)
        for name in ("classifier.onnx", "classifier.json", "tokenizer.json"):
            (out / name).unlink(missing_ok=True)
        spec, agreement = export_classifier(published, out, labels=LABELS)
    print(agreement)
    spec = replace(spec, temperature=calibrate(out, calibration, seed=seed))
    spec.save(out / "classifier.json")
    return spec


def calibrate(folder: Path, calibration: Mapping[str, Sequence[Pair]], *, seed: int) -> float:
    """The temperature of a classifier folder on held-out pairs; the folder is left alone."""
    classifier = PairClassifier.load(folder, config=EngineConfig(device="cpu"), max_cached=0)
    chosen: list[Pair] = []
    for name, pairs in sorted(calibration.items()):
        chosen += random.Random(f"{name}:{seed}").sample(list(pairs), min(CALIBRATION_PAIRS, len(pairs)))
    probabilities = classifier.classify([(pair.premise, pair.hypothesis) for pair in chosen])
    logits = np.log(np.maximum(probabilities, 1e-12)) * np.float32(classifier.spec.temperature)
    target = np.array([classifier.spec.labels.index(pair.label) for pair in chosen])
    return round(fit_temperature(logits.astype(np.float32), target), 3)


def reference_score(weights: Path, *, max_tokens: int = 256) -> Score:
    """Score with the float32 weights in torch; uncalibrated, so for accuracy only.

    Raises:
        OSError: The folder holds no model.
    """
    from tools.nli.batches import pair_tokenizer
    from tools.nli.network import load_network, score

    network = load_network(weights)
    tokenizer = pair_tokenizer(str(weights / "tokenizer.json"), max_tokens)

    def scored(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        unlabelled = [Pair(premise, hypothesis, "neutral", "", "") for premise, hypothesis in pairs]
        logits = score(network, tokenizer, unlabelled, is_float32=True)
        exp: NDArray[np.float32] = np.exp(logits - logits.max(axis=1, keepdims=True))
        exp /= exp.sum(axis=1, keepdims=True)
        return exp

    return scored
