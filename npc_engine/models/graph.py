"""Build a decoder's ONNX graph: the inputs and outputs of docs/architecture.md, for Llama, Qwen2/2.5 and Qwen3.

GroupQueryAttention over shared past and present buffers does RoPE and the cache; every product is MatMulNBits (int4,
int8) or FusedMatMul on the matrix as stored (fp16, fp32). The rotary order is half-split. q, k and v are one product.
No node computes a shape.

What int4 costs, KL divergence of the next token from the unquantized source's in nats over about 340 positions of
English, and one thread's time for a decode step (2-core AMD Zen 3):

    tiny (Q4_1)    blocks kept with offsets 0.0032, 10.8 ms | rounded to symmetric 0.255, 8.9 ms | int8 0.0039, 12.7 ms
    base (Q4_K_M)  blocks kept with offsets 0.0015, 104 ms  | rounded to symmetric 0.041, 87 ms  | int8 0.0019, 128 ms

Tensors that the source keeps in five bits or more stay in eight: with those of `base` in symmetric int4 too, it is
0.055. The output matrix is always int8.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from npc_engine.inference.spec import Precision
from npc_engine.models.adapter_nodes import AdapterNodes, adapter_inputs
from npc_engine.models.adapters import AdapterStack, Halves
from npc_engine.models.graph_writer import MICROSOFT, GraphWriter, Progress
from npc_engine.models.quantize import BLOCK, Bits, wide_block
from npc_engine.models.weights import DecoderConfig, SourceTensor, WeightSource

TOP_K = 64
"""Candidates the graph returns a row: what a sampler needs, at 1 % of the cost of reading all logits (measured)."""

_WIDE_TYPES = frozenset(("Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q8_0"))


def write_decoder_graph(
    source: WeightSource,
    folder: Path,
    *,
    precision: Precision,
    total_weights: int,
    adapters: AdapterStack | None = None,
    progress: Progress | None = None,
) -> DecoderGraph:
    """Write decoder.onnx and decoder.onnx.data into the folder.

    Args:
        source: The model.
        folder: Where the files go.
        precision: Of the weights.
        total_weights: For `progress`: `count_weights`, and what the caller will add to the same count.
        adapters: Chosen a row at run time by two further inputs; None builds the graph without any.
        progress: Called with (weights done, total_weights).

    Returns:
        The graph as written; a second one in the same folder is written beside it.

    Raises:
        UnsupportedTensor: A tensor is missing or misshapen; the folder holds an unfinished graph.
        OSError: The disk; likewise.
    """
    with GraphWriter(
        float_type="float16" if precision == "fp16" else "float32",
        total_weights=total_weights,
        data_path=folder / "decoder.onnx.data",
        progress=progress,
    ) as writer:
        graph = DecoderGraph(source, writer, precision, adapters)
        graph.write(folder / "decoder.onnx")
    return graph


def weight_bits(tensors: list[SourceTensor], precision: Precision) -> Bits | None:
    """Bits of the product these tensors form together; None is unquantized.

    Under int4 what the source keeps in five bits or more stays in eight; the module's figures say why.
    """
    if precision in ("fp16", "fp32"):
        return None
    return 8 if precision == "int8" or any(tensor.stored in _WIDE_TYPES for tensor in tensors) else 4


def count_weights(source: WeightSource, *, layers_only: bool = False) -> int:
    """Weights of all matrices: the layers', the embedding's, and an untied output's."""
    return sum(
        t.shape[0] * t.shape[1]
        for name, t in source.tensors.items()
        if len(t.shape) == 2 and (name.startswith("blk.") or not layers_only)
    )


class DecoderGraph:
    """One graph under construction; x names the residual stream, n its normalised form.

    Attributes:
        product_inputs: By product (`blk.0.attn_qkv`), the name of what enters it.
    """

    def __init__(
        self, source: WeightSource, writer: GraphWriter, precision: Precision, adapters: AdapterStack | None = None
    ) -> None:
        self.source = source
        self.config: DecoderConfig = source.config
        self.writer = writer
        self.precision = precision
        self.adapters = adapters
        self._adapter_nodes = AdapterNodes(writer, adapters.owners) if adapters else None
        self.product_inputs: dict[str, str] = {}

    def write(self, path: Path) -> None:
        """Convert every tensor and write the model file.

        Raises:
            UnsupportedTensor, OSError: As `write_decoder_graph`.
        """
        config, writer = self.config, self.writer
        angles = np.arange(config.max_context_tokens)[:, None] * config.inverse_frequencies
        writer.constant("rope.cos", np.cos(angles))
        writer.constant("rope.sin", np.sin(angles))
        x = self._embed()  # (B, S, hidden)
        n = writer.node(
            "SimplifiedLayerNormalization", [x, self._norm("blk.0.attn_norm")], "blk.0/norm", axis=-1, epsilon=self._eps
        )
        for layer in range(config.num_layers):
            x, n = self._layer(layer, x, n)
        self._head(n)
        writer.save(path, name=config.architecture, inputs=self._inputs(), outputs=self._outputs())

    @property
    def _eps(self) -> float:
        return self.config.rms_norm_eps

    def _matrix(self, name: str, rows: int, columns: int) -> SourceTensor:
        return self.source.tensor(f"{name}.weight", rows, columns)

    def _norm(self, name: str, size: int | None = None) -> str:
        tensor = self.source.tensor(f"{name}.weight", size or self.config.hidden_size)
        return self.writer.constant(tensor.name, tensor.floats())

    def _embed(self) -> str:
        config, writer = self.config, self.writer
        table = self._matrix("token_embd", config.vocab_size, config.hidden_size)
        if weight_bits([table], self.precision) is None:
            return writer.node("Gather", [writer.matrix("token_embd", [table]), "input_ids"], "token_embd/out")
        return writer.embedding("input_ids", "token_embd", table, block=wide_block(config.hidden_size))

    def _layer(self, layer: int, x: str, n: str) -> tuple[str, str]:
        """Attention and feed-forward; returns the residual stream and its norm for what follows."""
        config, writer, p = self.config, self.writer, f"blk.{layer}"
        attended = self._attention(layer, n)
        width = config.num_heads * config.head_dim
        out = self._linear(attended, f"{p}.attn_output", [(f"{p}.attn_output", config.hidden_size, width)])
        x, n = self._add_norm(x, out, f"{p}.ffn_norm", f"{p}/attn")

        inner = config.intermediate_size
        gate = self._linear(n, f"{p}.ffn_gate", [(f"{p}.ffn_gate", inner, config.hidden_size)])
        up = self._linear(n, f"{p}.ffn_up", [(f"{p}.ffn_up", inner, config.hidden_size)])
        silu = writer.node("QuickGelu", [gate], f"{p}/silu", MICROSOFT, alpha=1.0)
        product = writer.node("Mul", [silu, up], f"{p}/gated")
        down = self._linear(product, f"{p}.ffn_down", [(f"{p}.ffn_down", config.hidden_size, inner)])
        last = layer + 1 == config.num_layers
        return self._add_norm(x, down, "output_norm" if last else f"blk.{layer + 1}.attn_norm", f"{p}/ffn")

    def _linear(self, x: str, name: str, parts: list[tuple[str, int, int]]) -> str:
        """A product whose matrix is the parts' (name, rows, columns), with their biases where the file has them."""
        tensors = [self._matrix(*part) for part in parts]
        found = [self.source.optional(f"{part}.bias", rows) for part, rows, _ in parts]
        biases = [bias for bias in found if bias is not None]
        if biases and len(biases) != len(parts):
            missing = next(part for (part, _, _), bias in zip(parts, found, strict=True) if bias is None)
            self.source.tensor(f"{missing}.bias")
        self.product_inputs[name] = x
        return self._adapted(x, self._product(x, name, tensors, biases), name, parts)

    def _adapted(self, x: str, out: str, name: str, parts: list[tuple[str, int, int]]) -> str:
        """A product's output with what the rows' adapters add to it, where any does."""
        halves = self.adapters.halves(parts) if self.adapters else None
        if halves is None or self._adapter_nodes is None:
            return out
        widths = parts[0][2], sum(rows for _, rows, _ in parts)
        a, b = self._lora_a(name, halves), self._lora_b(name, halves)
        return self._adapter_nodes.add(x, out, name, a=a, b=b, widths=widths, num_parts=halves.num_parts)

    def _lora_a(self, name: str, halves: Halves) -> str:
        return self.writer.stack(f"{name}.lora_a", halves.a)

    def _lora_b(self, name: str, halves: Halves) -> str:
        return self.writer.stack(f"{name}.lora_b", halves.b)

    def _product(self, x: str, name: str, tensors: list[SourceTensor], biases: list[SourceTensor]) -> str:
        bits = weight_bits(tensors, self.precision)
        block = wide_block(tensors[0].shape[1]) if bits == 8 else BLOCK
        return self.writer.linear(x, name, tensors, bits=bits, biases=biases, block=block)

    def _attention(self, layer: int, n: str) -> str:
        config, writer, p = self.config, self.writer, f"blk.{layer}"
        query, key = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        parts = [(f"{p}.attn_q", query), (f"{p}.attn_k", key), (f"{p}.attn_v", key)]
        qkv = self._linear(n, f"{p}.attn_qkv", [(name, rows, config.hidden_size) for name, rows in parts])
        q, k, v = qkv, "", ""  # packed (B, S, query + 2 key)
        if config.architecture == "qwen3":
            sizes = writer.constant("qkv_sizes", np.array([query, key, key], np.int64))
            writer.node("Split", [qkv, sizes], [f"{p}/q", f"{p}/k", f"{p}/v"], axis=-1)
            q = self._head_norm(f"{p}/q", f"{p}.attn_q_norm", config.num_heads)
            k = self._head_norm(f"{p}/k", f"{p}.attn_k_norm", config.num_kv_heads)
            v = f"{p}/v"
        past = [f"past_key.{layer}", f"past_value.{layer}"]
        inputs = [q, k, v, *past, "seqlens_k", "total_sequence_length", "rope.cos", "rope.sin"]
        return writer.node(
            "GroupQueryAttention",
            inputs,
            [f"{p}/attended", f"present_key.{layer}", f"present_value.{layer}"],
            MICROSOFT,
            num_heads=config.num_heads,
            kv_num_heads=config.num_kv_heads,
            scale=config.head_dim**-0.5,
            do_rotary=1,
        )

    def _head_norm(self, x: str, name: str, num_heads: int) -> str:
        """RMS norm of each head: explicit, because the op's own QK-norm inputs have no CPU kernel."""
        writer, dim = self.writer, self.config.head_dim
        split = writer.constant(f"split_{num_heads}_heads", np.array([0, -1, num_heads, dim], np.int64))
        join = writer.constant(f"join_{num_heads}_heads", np.array([0, -1, num_heads * dim], np.int64))
        heads = writer.node("Reshape", [x, split], f"{x}/heads")
        weight = self._norm(name, dim)
        normed = writer.node("SimplifiedLayerNormalization", [heads, weight], f"{x}/norm", axis=-1, epsilon=self._eps)
        return writer.node("Reshape", [normed, join], f"{x}/joined")

    def _add_norm(self, x: str, change: str, norm: str, name: str) -> tuple[str, str]:
        outputs = [f"{name}_norm", "", "", f"{name}_sum"]
        self.writer.node(
            "SkipSimplifiedLayerNormalization", [x, change, self._norm(norm)], outputs, MICROSOFT, epsilon=self._eps
        )
        return outputs[3], outputs[0]

    def _head(self, n: str) -> None:
        """Logits of each row's last real token, and the largest of them."""
        config, writer = self.config, self.writer
        axis = writer.constant("axis_1", np.array([1], np.int64))
        index = writer.node("Unsqueeze", ["last_index", axis], "last_index/column")
        last = writer.node("GatherND", [n, index], "last", batch_dims=1)  # (B, hidden)
        writer.node("Cast", [self._logits(last)], "logits", to=TensorProto.FLOAT)
        count = writer.constant("top_k", np.array([min(TOP_K, config.vocab_size)], np.int64))
        writer.node("TopK", ["logits", count], ["top_values", "top_ids"], axis=-1, sorted=1)

    def _logits(self, last: str) -> str:
        config, writer = self.config, self.writer
        shape = config.vocab_size, config.hidden_size
        output = self.source.optional("output.weight", *shape)
        block = wide_block(config.hidden_size)
        if weight_bits([], self.precision) is None:
            weight = writer.matrix("output", [output]) if output else "token_embd"
            return writer.node("FusedMatMul", [last, weight], "output/out", MICROSOFT, transB=1)
        if output:
            codes, scales = writer.quantized_matrix("output", [output], 8, block=block)
        else:
            codes = writer.reshaped("token_embd.codes", (shape[0], shape[1] // block, block))
            scales = "token_embd.scales"
        return writer.matmul_nbits(last, "output", codes, scales, bits=8, rows=shape[0], columns=shape[1], block=block)

    def _inputs(self) -> list[ValueInfoProto]:
        return [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "S"]),
            helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, ["B"]),
            helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("last_index", TensorProto.INT64, ["B"]),
            *(adapter_inputs() if self.adapters else ()),
            *self._caches("past"),
        ]

    def _outputs(self) -> list[ValueInfoProto]:
        vocab_size = self.config.vocab_size
        top_k = min(TOP_K, vocab_size)
        return [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", vocab_size]),
            helper.make_tensor_value_info("top_values", TensorProto.FLOAT, ["B", top_k]),
            helper.make_tensor_value_info("top_ids", TensorProto.INT64, ["B", top_k]),
            *self._caches("present"),
        ]

    def _caches(self, when: str) -> list[ValueInfoProto]:
        config = self.config
        shape: list[str | int | None] = ["B", config.num_kv_heads, "M", config.head_dim]
        return [
            helper.make_tensor_value_info(f"{when}_{kind}.{layer}", self.writer.onnx_type, shape)
            for layer in range(config.num_layers)
            for kind in ("key", "value")
        ]
