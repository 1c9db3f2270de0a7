"""Build a BERT encoder's ONNX graph in one file: int8 blocks for every product and the word table.

`write_trunk` ends at the hidden states; `write_encoder_graph` adds the sentence head (mean over the mask, then unit
length). Another head over the same trunk is another function here. Token types are all 0, so their embedding is part of
the positions' table. Rows do not depend on their batch neighbours: activations are quantized row by row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from npc_engine.models.graph_writer import MICROSOFT, GraphWriter, Progress
from npc_engine.models.hf import EncoderSource
from npc_engine.models.weights import SourceTensor


def write_encoder_graph(source: EncoderSource, path: Path, *, progress: Progress | None = None) -> None:
    """Write encoder.onnx: input_ids, attention_mask int64 (B, S) -> embedding float32 (B, hidden).

    Raises:
        UnsupportedTensor: A tensor is missing or misshapen; nothing is written.
        OSError: The disk.
    """
    total = sum(t.shape[0] * t.shape[1] for t in source.tensors.values() if _is_quantized(t))
    with GraphWriter(float_type="float32", total_weights=total, progress=progress) as writer:
        hidden = write_trunk(source, writer)
        _mean_pooling(writer, hidden)
        writer.save(
            path,
            name="bert",
            inputs=[
                helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "S"]),
                helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["B", "S"]),
            ],
            outputs=[
                helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", source.config.hidden_size]),
            ],
        )


def _is_quantized(tensor: SourceTensor) -> bool:
    return len(tensor.shape) == 2 and tensor.name.split(".")[-2] not in ("position_embeddings", "token_type_embeddings")


def write_trunk(source: EncoderSource, writer: GraphWriter) -> str:
    """Embeddings and layers; returns the name of the hidden states, float32 (B, S, hidden)."""
    mask = writer.node("Cast", ["attention_mask"], "key_mask", to=TensorProto.INT32)
    x = _embeddings(source, writer)
    for layer in range(source.config.num_layers):
        x = _layer(source, writer, f"encoder.layer.{layer}", x, mask)
    return x


def _embeddings(source: EncoderSource, writer: GraphWriter) -> str:
    config, hidden = source.config, source.config.hidden_size
    words = source.tensor("embeddings.word_embeddings.weight", config.vocab_size, hidden)
    word = writer.embedding("input_ids", "words", words)

    positions = source.tensor("embeddings.position_embeddings.weight", config.max_positions, hidden).floats()
    token_types = source.tensor("embeddings.token_type_embeddings.weight", 2, hidden).floats()
    table = writer.constant("positions", positions + token_types[0])
    # A real token's position is the number of real tokens before it: no node needs the batch's shape.
    axis, one = writer.constant("axis_1", np.array(1, np.int64)), writer.constant("one", np.array(1, np.int64))
    count = writer.node("CumSum", ["attention_mask", axis], "positions/count")
    index = writer.node("Sub", [count, one], "positions/index")
    position = writer.node("Gather", [table, index], "positions/out")
    return _add_norm(source, writer, "embeddings.LayerNorm", word, position)


def _layer(source: EncoderSource, writer: GraphWriter, p: str, x: str, mask: str) -> str:
    config, hidden = source.config, source.config.hidden_size
    parts = [f"{p}.attention.self.{name}" for name in ("query", "key", "value")]
    qkv = _linear(source, writer, f"{p}.qkv", parts, hidden, hidden, x)
    q, k, v = f"{p}/q", f"{p}/k", f"{p}/v"
    writer.node("Split", [qkv], [q, k, v], axis=-1, num_outputs=3)
    inputs = [q, k, v, "", mask]
    attended = writer.node("MultiHeadAttention", inputs, f"{p}/attended", MICROSOFT, num_heads=config.num_heads)
    out = _linear(source, writer, f"{p}.out", [f"{p}.attention.output.dense"], hidden, hidden, attended)
    x = _add_norm(source, writer, f"{p}.attention.output.LayerNorm", x, out)
    inner = _linear(source, writer, f"{p}.up", [f"{p}.intermediate.dense"], config.intermediate_size, hidden, x)
    gelu = writer.node("Gelu", [inner], f"{p}/gelu", approximate="none")
    down = _linear(source, writer, f"{p}.down", [f"{p}.output.dense"], hidden, config.intermediate_size, gelu)
    return _add_norm(source, writer, f"{p}.output.LayerNorm", x, down)


def _linear(
    source: EncoderSource, writer: GraphWriter, name: str, parts: list[str], rows: int, columns: int, x: str
) -> str:
    weights: list[SourceTensor] = [source.tensor(f"{part}.weight", rows, columns) for part in parts]
    biases = [source.tensor(f"{part}.bias", rows) for part in parts]
    return writer.linear(x, name, weights, bits=8, biases=biases)


def _add_norm(source: EncoderSource, writer: GraphWriter, name: str, x: str, change: str) -> str:
    gain, bias = (
        writer.constant(f"{name}.{kind}", source.tensor(f"{name}.{kind}", source.config.hidden_size).floats())
        for kind in ("weight", "bias")
    )
    inputs = [x, change, gain, bias]
    return writer.node("SkipLayerNormalization", inputs, f"{name}/out", MICROSOFT, epsilon=source.config.layer_norm_eps)


def _mean_pooling(writer: GraphWriter, hidden: str) -> None:
    """The mean of the real tokens' hidden states, scaled to unit length."""
    tokens = writer.constant("token_axis", np.array([1], np.int64))
    last = writer.constant("last_axis", np.array([-1], np.int64))
    mask = writer.node("Cast", ["attention_mask"], "pool/mask", to=TensorProto.FLOAT)
    column = writer.node("Unsqueeze", [mask, last], "pool/column")
    real = writer.node("Mul", [hidden, column], "pool/real")
    total = writer.node("ReduceSum", [real, tokens], "pool/sum", keepdims=0)
    # The mean's divisor falls out: the length is normalised anyway.
    writer.node("LpNormalization", [total], "embedding", axis=-1, p=2)
