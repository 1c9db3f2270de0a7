"""The three labels of natural-language inference, and which logits column of a model is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from npc_engine.errors import UnsupportedLabels

NliLabel = Literal["entailment", "neutral", "contradiction"]
NLI_LABELS: tuple[NliLabel, ...] = get_args(NliLabel)
"""The order of every table of scores in this package."""


def nli_label(name: str) -> NliLabel | None:
    """The label that a published model calls `name`, whatever its case; None where it is not one of the three."""
    plain = name.strip().lower()
    return next((label for label in NLI_LABELS if label == plain), None)


def label_columns(labels: Sequence[str], *, model: str) -> tuple[int, int, int]:
    """Which column of the logits holds entailment, neutral and contradiction.

    Published models disagree on the order (roberta-large-mnli: contradiction, neutral, entailment;
    DeBERTa-v3-base-mnli-fever-anli: entailment, neutral, contradiction; cross-encoder/nli-*: contradiction, entailment,
    neutral), so no order is ever assumed.

    Args:
        labels: The model's label names in the order of its logits.
        model: What to call the model in an error.

    Returns:
        Indices into `labels`, in the order of `NLI_LABELS`.

    Raises:
        UnsupportedLabels: They are not these three, each once.
    """
    known = [nli_label(name) for name in labels]
    if sorted(map(str, known)) != sorted(NLI_LABELS):
        raise UnsupportedLabels(
            f"{model}: its labels are {', '.join(labels) or 'none'}; "
            f"three-way inference has {', '.join(NLI_LABELS)}, each once",
            hint="if the model has these three under other names, import it with --labels and the three in the order "
            f"of its logits, such as --labels {','.join(NLI_LABELS)}",
        )
    entailment, neutral, contradiction = (known.index(label) for label in NLI_LABELS)
    return entailment, neutral, contradiction
