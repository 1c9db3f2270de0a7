"""A pair classifier small enough to compute by hand: each token has a weight for each label, and they are summed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from npc_engine.inference.spec import ClassifierSpec
from tests.stubs import write_stub_bert

LABELS = ("contradiction", "entailment", "neutral")
MAX_TOKENS = 24


def token_weights(vocab_size: int, num_labels: int) -> np.ndarray:
    """(vocab_size, num_labels) float32, as in the graph."""
    return np.random.default_rng(7).standard_normal((vocab_size, num_labels)).astype(np.float32)


def write_stub_classifier(
    folder: Path, *, labels: tuple[str, ...] = LABELS, has_token_types: bool = True, temperature: float = 1.0
) -> Path:
    """Write the three files of a model folder; a hypothesis' tokens count twice by their token type."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = Tokenizer.from_file(str(write_stub_bert(Path(scratch)) / "tokenizer.json"))
    tokenizer.save(str(folder / "tokenizer.json"))
    table = numpy_helper.from_array(token_weights(tokenizer.get_vocab_size(), len(labels)), "table")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Add", ["attention_mask", "token_type_ids"], ["counts"])
        if has_token_types
        else helper.make_node("Identity", ["attention_mask"], ["counts"]),
        helper.make_node("Mul", ["counts", "attention_mask"], ["real"]),
        helper.make_node("Cast", ["real"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "tokens"], ["logits"], keepdims=0),
    ]
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if has_token_types else [])]
    constants = [table]
    constants += [
        numpy_helper.from_array(np.array([axis], np.int64), name) for name, axis in (("last", -1), ("tokens", 1))
    ]
    graph = helper.make_graph(
        nodes,
        "stub",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "S"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", len(labels)])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "classifier.onnx")
    spec = ClassifierSpec(
        architecture="stub", hidden_size=len(labels), max_tokens=MAX_TOKENS, labels=labels, temperature=temperature
    )
    spec.save(folder / "classifier.json")
    return folder
