"""Build prefill.onnx beside decoder.onnx: the same graph with its layers' products in int8 throughout (W8A8).

Weights have a scale an output channel, activations a scale a row. An outlier channel of the activations would leave the
others few codes, so the difficulty is moved into the weights, channel by channel (SmoothQuant, Xiao et al. 2023, with
its strength of 0.5): what enters q, k, v, gate and up is divided through the norm before them, what enters down through
the scales of up's rows. What enters attn_output stays as it is: v goes to the cache, which the decode graph reads too.

Next-token KL divergence from the unquantized source's, simulated in float32 over 344 positions of English, `tiny`:
weights alone 0.003 nats; with activations a scale a row 0.029; smoothed 0.008.

Embedding, output, norms and rotary tables are the decode graph's and lie in decoder.onnx.data once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from npc_engine.inference.onnx_session import open_session
from npc_engine.inference.spec import PrefillCode
from npc_engine.models.adapters import Halves
from npc_engine.models.graph import DecoderGraph
from npc_engine.models.graph_writer import GraphWriter
from npc_engine.models.weights import SourceTensor

Peaks = Mapping[str, NDArray[np.float32]]
"""By product (`blk.0.attn_qkv`), the largest magnitude of each channel that enters it, (columns,) float32."""

MAX_CODE: PrefillCode = 127
"""The largest int8 weight code where int8 products are exact."""
MAX_CODE_SATURATING: PrefillCode = 100
"""The largest weight code where pairs of products saturate in 16 bits. A pair can exceed them beyond 63 already, but
hardly ever does below 100, and coarser codes cost more than that: KL on `tiny` at 127, 112, 100, 90, 80 and 63 is
0.0228, 0.0217, 0.0174, 0.0185, 0.0194 and 0.0342 nats (measured with AVX2); on `base` 0.0153 at 100, 0.0269 at 63."""
_STRENGTH = 0.5
_SMALLEST = np.float32(1e-5)
_CALIBRATION_THREADS = 4


def measure_peaks(graph: DecoderGraph, folder: Path, ids: Sequence[int]) -> Peaks:
    """Run a text through the decode graph in the folder, with each adapter too, and look at what enters its products.

    Args:
        graph: The decode graph as written.
        folder: Where it is; a copy of its nodes is written there meanwhile.
        ids: The text's tokens, at most the model's context.

    Raises:
        CorruptModel: The graph does not load.
    """
    model = onnx.load(str(folder / "decoder.onnx"), load_external_data=False)
    names = {product: f"{product}/peaks" for product in graph.product_inputs}
    axes = numpy_helper.from_array(np.array([0, 1], np.int64), "peak_axes")
    model.graph.initializer.append(axes)
    for product, name in names.items():
        entering = graph.product_inputs[product]
        model.graph.node.append(helper.make_node("Abs", [entering], [f"{name}/abs"]))
        model.graph.node.append(helper.make_node("ReduceMax", [f"{name}/abs", "peak_axes"], [name], keepdims=0))
        model.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["columns"]))
    path = folder / "calibration.onnx"
    path.write_bytes(model.SerializeToString())
    try:
        session = open_session(path, device="cpu", threads=_CALIBRATION_THREADS)
        runs = [session.run(list(names.values()), inputs) for inputs in _inputs(graph, ids)]
    finally:
        path.unlink()
    found = [np.maximum.reduce(peaks) for peaks in zip(*runs, strict=True)]
    return dict(zip(names, found, strict=True))


def _inputs(graph: DecoderGraph, ids: Sequence[int]) -> Iterator[dict[str, NDArray[np.generic]]]:
    """The inputs that append a text to an empty cache: as the plain model, and with each adapter."""
    config = graph.config
    cache = np.zeros((1, config.num_kv_heads, len(ids), config.head_dim), np.float32)
    caches = {f"past_{kind}.{layer}": cache for layer in range(config.num_layers) for kind in ("key", "value")}
    plain: dict[str, NDArray[np.generic]] = {
        "input_ids": np.array([ids], np.int64),
        "seqlens_k": np.array([len(ids) - 1], np.int32),
        "total_sequence_length": np.array([len(ids)], np.int32),
        "last_index": np.array([len(ids) - 1], np.int64),
        **caches,
    }
    if graph.adapters is None:
        yield plain
        return
    rows = np.arange(len(graph.adapters.owners), dtype=np.int64)
    for number in range(len(graph.adapters.names) + 1):
        yield plain | {"adapter_index": np.array([number], np.int64), "adapter_rows": rows}


def write_prefill_graph(graph: DecoderGraph, folder: Path, *, max_code: PrefillCode, peaks: Peaks) -> None:
    """Write prefill.onnx and prefill.onnx.data into the folder of a decode graph.

    Args:
        graph: The decode graph as written there, float32.
        folder: Where the files go.
        max_code: The largest weight code, `MAX_CODE` or `MAX_CODE_SATURATING`.
        peaks: From `measure_peaks`.

    Raises:
        OSError: The disk; the folder holds an unfinished graph.
    """
    with graph.writer.beside(folder / "prefill.onnx.data") as writer:
        _PrefillGraph(graph, writer, max_code, peaks).write(folder / "prefill.onnx")


class _PrefillGraph(DecoderGraph):
    def __init__(self, decode: DecoderGraph, writer: GraphWriter, max_code: PrefillCode, peaks: Peaks) -> None:
        super().__init__(decode.source, writer, decode.precision, decode.adapters)
        self._largest = max_code
        self._peaks = peaks
        self._smoothing: dict[str, NDArray[np.float32]] = {}

    def _norm(self, name: str, size: int | None = None) -> str:
        layer, _, kind = name.rpartition(".")
        entering = {"attn_norm": f"{layer}.attn_qkv", "ffn_norm": f"{layer}.ffn_gate"}.get(kind)
        if entering is None:
            return super()._norm(name, size)
        tensor = self.source.tensor(f"{name}.weight", self.config.hidden_size)
        return self.writer.constant(f"{name}.smoothed", tensor.floats() / self._gains(entering))

    def _product(self, x: str, name: str, tensors: list[SourceTensor], biases: list[SourceTensor]) -> str:
        return self.writer.int8_linear(
            x,
            name,
            tensors,
            largest=self._largest,
            biases=biases,
            column_gains=self._column_gains(name),
            row_gains=self._row_gains(name),
        )

    def _lora_a(self, name: str, halves: Halves) -> str:
        """An adapter's first half sees the smoothed input, so it takes the same gains as the matrix's columns."""
        gains = self._column_gains(name)
        if gains is None:
            return super()._lora_a(name, halves)
        return self.writer.stack(f"{name}.lora_a.smoothed", halves.a * np.tile(gains, halves.num_parts))

    def _lora_b(self, name: str, halves: Halves) -> str:
        """Its second half gives what the matrix's rows give, by the same gains."""
        gains = self._row_gains(name)
        if gains is None:
            return super()._lora_b(name, halves)
        return self.writer.stack(f"{name}.lora_b.smoothed", halves.b * np.tile(gains, halves.num_parts))

    def _column_gains(self, name: str) -> NDArray[np.float32] | None:
        return None if name.endswith(".attn_output") else self._gains(name)

    def _row_gains(self, name: str) -> NDArray[np.float32] | None:
        layer, _, kind = name.rpartition(".")
        return np.float32(1) / self._gains(f"{layer}.ffn_down") if kind == "ffn_up" else None

    def _gains(self, product: str) -> NDArray[np.float32]:
        """What a product's input is divided by and its matrix's columns multiplied by, (columns,) float32."""
        layer, _, kind = product.rpartition(".")
        parts = {
            "attn_qkv": ("attn_q", "attn_k", "attn_v"),
            "ffn_gate": ("ffn_gate", "ffn_up"),
            "ffn_up": ("ffn_gate", "ffn_up"),
        }.get(kind, (kind,))
        key = f"{layer}.{parts[0]}"
        if key not in self._smoothing:
            weights = self.writer.column_peaks([self.source.tensors[f"{layer}.{part}.weight"] for part in parts])
            inputs = np.maximum(self._peaks[product], _SMALLEST)
            gains = inputs**_STRENGTH / np.maximum(weights, _SMALLEST) ** (1 - _STRENGTH)
            self._smoothing[key] = gains.astype(np.float32)
        return self._smoothing[key]
