"""Figures of a classifier on pairs of known label: accuracy, F1, contradictions found, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.nli.pairs import LABELS

NUM_BINS = 15
"""Bins of equal width for the calibration error. Source: Guo et al. 2017, section 2."""


@dataclass(frozen=True)
class Figures:
    """What was measured on one set.

    `accuracy` is two-way (entailment or not) where `is_two_way`; then `macro_f1` is over the two, and precision and
    recall of contradictions are None. They are None too where the set holds no contradiction.
    """

    name: str
    num_pairs: int
    is_two_way: bool
    accuracy: float
    macro_f1: float
    precision: float | None
    recall: float | None
    calibration_error: float
    majority: float


def measure(name: str, probabilities: NDArray[np.float32], gold: list[str]) -> Figures:
    """Compare probabilities with known labels.

    Args:
        name: Of the set.
        probabilities: (n_pairs, 3) float32 in the order of `LABELS`.
        gold: A label of `LABELS` each, or `entailment` and `not_entailment` throughout.
    """
    two_way = "not_entailment" in gold
    names = ("entailment", "not_entailment") if two_way else LABELS
    if two_way:
        first = probabilities[:, 0]
        probabilities = np.stack([first, 1 - first], axis=1)
    target = np.array([names.index(label) for label in gold])
    guess = probabilities.argmax(axis=1)
    found = LABELS.index("contradiction")
    has = not two_way and bool((target == found).any())
    hits = int(((guess == found) & (target == found)).sum())
    return Figures(
        name=name,
        num_pairs=len(gold),
        is_two_way=two_way,
        accuracy=float((guess == target).mean()),
        macro_f1=macro_f1(guess, target),
        precision=hits / max(1, int((guess == found).sum())) if has else None,
        recall=hits / int((target == found).sum()) if has else None,
        calibration_error=calibration_error(probabilities, target),
        majority=float(np.bincount(target).max() / len(target)),
    )


def macro_f1(guess: NDArray[np.int64], target: NDArray[np.int64]) -> float:
    """Mean F1 over the labels that occur in `target`."""
    scores = []
    for label in np.unique(target):
        hits = int(((guess == label) & (target == label)).sum())
        scores.append(2 * hits / max(1, int((guess == label).sum() + (target == label).sum())))
    return float(np.mean(scores))


def calibration_error(probabilities: NDArray[np.float32], target: NDArray[np.int64]) -> float:
    """Expected calibration error: how far confidence is from accuracy, a mean over bins weighted by their pairs."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    error = 0.0
    for index in np.unique(bins):
        inside = bins == index
        error += float(inside.mean()) * abs(float(confidence[inside].mean()) - float(right[inside].mean()))
    return error


def fit_temperature(logits: NDArray[np.float32], target: NDArray[np.int64]) -> float:
    """The temperature of least cross-entropy, between 0.25 and 8, to a thousandth of its logarithm.

    Args:
        logits: (n_pairs, n_labels) float32.
        target: (n_pairs,) the right columns.

    Source: Guo et al. 2017, section 4.2; the loss has one minimum in the logarithm of the temperature, which golden
    section finds.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        chosen = scaled[np.arange(len(target)), target]
        return float((np.log(np.exp(scaled).sum(axis=1)) - chosen).mean())

    low, high = np.log(0.25), np.log(8.0)
    ratio = (np.sqrt(5) - 1) / 2
    while high - low > 1e-3:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
