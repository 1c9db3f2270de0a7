"""The cross-encoder in torch: loading a sentence encoder as a three-way classifier, saving, and scoring pairs.

torch and transformers are imported inside functions: they are in the `export` extra only.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tools.nli.batches import collate, encode
from tools.nli.pairs import LABELS, Pair

SCORE_BATCH = 64


def load_network(folder: Path, *, dropout: float = 0.0) -> Any:
    """A BERT classifier of three labels from a folder with config.json and model.safetensors.

    The head starts at random where the folder holds a plain encoder. Dropout applies to the head only: the encoder sees
    each pair about once, and without dropout a step takes an eighth less time (measured on two cores). Attention is
    written out: at forty tokens torch's fused kernel spends a third of a step in its backward pass on a CPU.

    Raises:
        OSError: The folder holds no model.
    """
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(
        folder,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: column for column, label in enumerate(LABELS)},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        classifier_dropout=dropout,
    )
    return BertForSequenceClassification.from_pretrained(folder, config=config, attn_implementation="eager")


def autocast(*, is_float32: bool = False) -> Any:
    """Compute in bfloat16 where the processor is quick at it, else in float32.

    Without AVX-512 torch converts every operand: 1.6 pairs/s against 39 in float32 (measured on two AVX2 cores).
    """
    import torch

    is_quick = "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.autocast("cpu", torch.bfloat16, enabled=is_quick and not is_float32)


def save_network(network: Any, folder: Path, tokenizer_file: Path) -> None:
    """Write config.json, model.safetensors and tokenizer.json; an unfinished write leaves the old weights alone."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / "model.partial", metadata={"format": "pt"})
    (folder / "model.partial").replace(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(network.config.to_dict(), indent=2) + "\n", encoding="utf-8")
    if tokenizer_file.resolve() != (folder / "tokenizer.json").resolve():
        shutil.copyfile(tokenizer_file, folder / "tokenizer.json")


def score(
    network: Any, tokenizer: Tokenizer, pairs: Sequence[Pair], *, is_float32: bool = False
) -> NDArray[np.float32]:
    """(n_pairs, 3) float32 logits, in the order of `LABELS`; computed as `autocast` says."""
    import torch

    logits = np.zeros((len(pairs), len(LABELS)), dtype=np.float32)
    encoded = encode(tokenizer, pairs)
    order = sorted(range(len(pairs)), key=lambda index: len(encoded[index][0]))
    was_training = network.training
    network.eval()
    with torch.inference_mode(), autocast(is_float32=is_float32):
        for start in range(0, len(order), SCORE_BATCH):
            rows = order[start : start + SCORE_BATCH]
            batch = collate([encoded[row] for row in rows], [0] * len(rows))
            output = network(
                input_ids=torch.from_numpy(batch.input_ids),
                attention_mask=torch.from_numpy(batch.attention_mask),
                token_type_ids=torch.from_numpy(batch.token_type_ids),
            )
            logits[rows] = output.logits.float().numpy()
    network.train(was_training)
    return logits
