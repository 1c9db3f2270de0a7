"""Write an ONNX graph node by node, its matrices converted in row chunks and streamed to their file.

Knows the ops' layouts, nothing of models. No matrix is ever whole in memory unless the graph is a single file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from npc_engine.models.quantize import (
    BLOCK,
    Bits,
    QuantizedRows,
    has_offsets,
    num_offset_columns,
    quantize_channels,
    quantize_rows,
    with_offset_blocks,
)
from npc_engine.models.weights import SourceTensor

OPSET = 21
IR_VERSION = 10
MICROSOFT = "com.microsoft"

Progress = Callable[[int, int], None]
FloatType = Literal["float32", "float16"]

_ONNX_TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.int64): TensorProto.INT64,
}
_Chunk = TypeVar("_Chunk")

_CHUNK_WEIGHTS = 1 << 21
_MAX_INLINE_BYTES = 1 << 16
_ALIGNMENT = 4096
"""Bytes. External tensors start on a page, so that the runtime can map them."""


class GraphWriter:
    """Collects nodes and initializers; `save` writes the model.

    Args:
        float_type: The type of activations, scales and unquantized weights.
        total_weights: The number of weights that will be added, for `progress`.
        data_path: Where matrices go; None keeps them inside the model file (at most 2 GB).
        progress: Called with (weights done, total_weights).
    """

    def __init__(
        self,
        *,
        float_type: FloatType,
        total_weights: int,
        data_path: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.dtype = np.dtype(float_type)
        self.onnx_type = _ONNX_TYPES[self.dtype]
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._made: set[str] = set()
        self._beside: Mapping[str, onnx.TensorProto] = {}
        self._location = data_path.name if data_path else ""
        self._data = data_path.open("wb") if data_path else None
        self._pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
        self._progress = progress
        self._total = total_weights
        self._done = 0

    def beside(self, data_path: Path) -> GraphWriter:
        """A writer for a second graph in the same folder, when this one's is written.

        What this one stored it refers to by name and does not store again. Progress goes on.
        """
        writer = GraphWriter(
            float_type="float32", total_weights=self._total, data_path=data_path, progress=self._progress
        )
        writer._beside, writer._done = self._initializers, self._done
        return writer

    def __enter__(self) -> GraphWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._data:
            self._data.close()

    # --- nodes ---------------------------------------------------------------------------------

    def node(self, op: str, inputs: Sequence[str], outputs: Sequence[str] | str, domain: str = "", **attrs: Any) -> str:
        """Add a node; return its first named output."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        first = next(name for name in names if name)
        self._nodes.append(helper.make_node(op, list(inputs), names, name=first, domain=domain, **attrs))
        return first

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """An initializer given whole; floats take the graph's float type. Small ones stay inside the model file."""
        if not self._has(name):
            array = values.astype(self.dtype) if values.dtype.kind == "f" else values
            if array.nbytes > _MAX_INLINE_BYTES:
                self._store(name, array.shape, array.dtype, [array])
            else:
                self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def stack(self, name: str, values: NDArray[np.float32]) -> str:
        """An initializer of which few rows are read: beside the model file however small, where it is only mapped."""
        if not self._has(name):
            self._store(name, values.shape, self.dtype, [values.astype(self.dtype)])
        return name

    def linear(
        self,
        x: str,
        name: str,
        tensors: Sequence[SourceTensor],
        *,
        bits: Bits | None,
        biases: Sequence[SourceTensor] = (),
        block: int = BLOCK,
    ) -> str:
        """`x @ W.T + b`, W being the tensors' rows one after another; `bits` None leaves them float."""
        rows, columns = sum(tensor.num_rows for tensor in tensors), tensors[0].shape[1]
        bias = np.concatenate([tensor.floats() for tensor in biases]) if biases else None
        if bits is None:
            weight = self.matrix(f"{name}.weight", tensors)
            out = self.node(
                "FusedMatMul", [x, weight], f"{name}/matmul" if biases else f"{name}/out", MICROSOFT, transB=1
            )
            if bias is None:
                return out
            return self.node("Add", [out, self.constant(f"{name}.bias", bias)], f"{name}/out")
        codes, scales = self.quantized_matrix(name, tensors, bits, block=block)
        if has_offsets(tensors, bits):
            x = self._with_block_means(x, columns)
            columns += num_offset_columns(columns)
        return self.matmul_nbits(x, name, codes, scales, bits=bits, rows=rows, columns=columns, bias=bias, block=block)

    def int8_linear(
        self,
        x: str,
        name: str,
        tensors: Sequence[SourceTensor],
        *,
        largest: int,
        biases: Sequence[SourceTensor] = (),
        column_gains: NDArray[np.float32] | None = None,
        row_gains: NDArray[np.float32] | None = None,
    ) -> str:
        """`x @ W.T + b` wholly in int8: weights a scale an output channel, activations a scale a row (W8A8).

        A row's scale is its own, so that neither its batch neighbours nor the chunk it comes in change its result:
        the stock DynamicQuantizeMatMul has one scale for all rows and does change them.

        Args:
            x: float32 (B, S, columns).
            name: Of the product.
            tensors: The matrix, its rows one tensor after another.
            largest: The largest code, 127, or 63 where the processor's products saturate beyond.
            biases: Of the tensors, all or none.
            column_gains: (columns,) what W's columns are multiplied by; x comes divided by it.
            row_gains: (rows,) what W's rows, and so the outputs, are multiplied by.
        """
        codes, scales = self._channels(name, tensors, largest, column_gains, row_gains)
        x8, peak = self._int8_rows(x)
        step = self.constant("int8_step", np.array(1 / 127, np.float32))
        zero = self.constant("int8_zero", np.array(128, np.uint8))
        product = self.node("MatMulIntegerToFloat", [x8, codes, step, scales, zero], f"{name}/int8", MICROSOFT)
        out = self.node("Mul", [product, peak], f"{name}/scaled" if biases else f"{name}/out")
        if not biases:
            return out
        bias = np.concatenate([tensor.floats() for tensor in biases])
        return self.node("Add", [out, self.constant(f"{name}.bias", bias)], f"{name}/out")

    def _int8_rows(self, x: str) -> tuple[str, str]:
        """Codes of x / peak in steps of 1/127, uint8 about 128; and peak (B, S, 1), each row's largest magnitude."""
        codes, peak = f"{x}/int8", f"{x}/peak"
        if codes not in self._made:
            self._made.add(codes)
            last = self.constant("block_axis", np.array([-1], np.int64))
            tiny = self.constant("int8_tiny", np.array(1e-12, np.float32))
            magnitude = self.node("Abs", [x], f"{x}/abs")
            largest = self.node("ReduceMax", [magnitude, last], f"{x}/largest", keepdims=1)
            self.node("Max", [largest, tiny], peak)
            unit = self.node("Div", [x, peak], f"{x}/unit")
            step = self.constant("int8_step", np.array(1 / 127, np.float32))
            zero = self.constant("int8_zero", np.array(128, np.uint8))
            self.node("QuantizeLinear", [unit, step, zero], codes)
        return codes, peak

    def _with_block_means(self, x: str, columns: int) -> str:
        """A product's input (B, S, columns), followed by what its matrix's columns of offsets are multiplied with.

        That is the mean of each of x's blocks of 32, padded to whole blocks, and the means once more.
        """
        widened = f"{x}/with_means"
        if widened not in self._made:
            self._made.add(widened)
            means = self.node("AveragePool", [x], f"{x}/means", kernel_shape=[BLOCK], strides=[BLOCK])
            num_means = columns // BLOCK
            padded = means
            if missing := -num_means % BLOCK:
                pads = self.constant(f"pad_{missing}", np.array([0, 0, 0, 0, 0, missing], np.int64))
                padded = self.node("Pad", [means, pads], f"{x}/padded_means")
            self.node("Concat", [x, padded, means], widened, axis=-1)
        return widened

    def matmul_nbits(
        self,
        x: str,
        name: str,
        codes: str,
        scales: str,
        *,
        bits: Bits,
        rows: int,
        columns: int,
        bias: NDArray[np.float32] | None = None,
        block: int = BLOCK,
    ) -> str:
        """A product with a quantized matrix already in the graph.

        Accuracy level 4 multiplies in int8: without it decode is three times slower (measured).
        """
        inputs = [x, codes, scales]
        if bias is not None:
            inputs += ["", "", self.constant(f"{name}.bias", bias)]
        attrs = {"K": columns, "N": rows, "bits": bits, "block_size": block, "accuracy_level": 4}
        return self.node("MatMulNBits", inputs, f"{name}/out", MICROSOFT, **attrs)

    def embedding(self, ids: str, name: str, table: SourceTensor, *, block: int = BLOCK) -> str:
        """Rows of an int8 table (codes flat)."""
        codes, scales = self._quantized(name, [table], 8, table.shape, block)
        attrs = {"bits": 8, "block_size": block, "gather_axis": 0, "quantize_axis": 1}
        return self.node("GatherBlockQuantized", [codes, ids, scales], f"{name}/out", MICROSOFT, **attrs)

    # --- matrices ------------------------------------------------------------------------------

    def matrix(self, name: str, tensors: Sequence[SourceTensor]) -> str:
        """An unquantized (rows, columns) initializer."""
        shape = (sum(tensor.num_rows for tensor in tensors), tensors[0].shape[1])
        chunks = self._convert(tensors, lambda tensor, a, b: tensor.float_rows(a, b).astype(self.dtype))
        self._store(name, shape, self.dtype, chunks)
        return name

    def quantized_matrix(
        self, name: str, tensors: Sequence[SourceTensor], bits: Bits, *, block: int = BLOCK
    ) -> tuple[str, str]:
        """Codes (rows, blocks, bytes a block) and scales (rows, blocks); returns their names.

        A matrix with offsets has blocks of these after its own: `with_offset_blocks`.
        """
        rows, columns = sum(tensor.num_rows for tensor in tensors), tensors[0].shape[1]
        if has_offsets(tensors, bits):
            columns += num_offset_columns(columns)
        return self._quantized(name, tensors, bits, (rows, -(-columns // block), block * bits // 8), block)

    def _quantized(
        self, name: str, tensors: Sequence[SourceTensor], bits: Bits, shape: tuple[int, ...], block: int
    ) -> tuple[str, str]:
        if self._has(f"{name}.codes") and self._has(f"{name}.scales"):
            return f"{name}.codes", f"{name}.scales"
        scales: list[NDArray[np.float32]] = []
        keeps_offsets = has_offsets(tensors, bits)

        def convert(tensor: SourceTensor, start: int, stop: int) -> QuantizedRows:
            rows = quantize_rows(tensor, start, stop, bits, block=block)
            return with_offset_blocks(rows) if keeps_offsets else rows

        def codes() -> Iterator[NDArray[np.uint8]]:
            for chunk in self._convert(tensors, convert):
                scales.append(chunk.scales)
                yield chunk.codes

        self._store(f"{name}.codes", shape, np.dtype(np.uint8), codes())
        blocks = (shape[0], math.prod(shape[1:]) * 8 // (bits * block))
        self._store(f"{name}.scales", blocks, self.dtype, (part.astype(self.dtype) for part in scales))
        return f"{name}.codes", f"{name}.scales"

    def _channels(
        self,
        name: str,
        tensors: Sequence[SourceTensor],
        largest: int,
        column_gains: NDArray[np.float32] | None,
        row_gains: NDArray[np.float32] | None,
    ) -> tuple[str, str]:
        """Codes (columns, rows) int8 and scales (rows,) of a whole matrix, which is in memory meanwhile."""
        rows, columns = sum(tensor.num_rows for tensor in tensors), tensors[0].shape[1]
        gains = np.ones(columns, np.float32) if column_gains is None else column_gains
        chunks = list(
            self._convert(
                tensors, lambda tensor, a, b: quantize_channels(tensor.float_rows(a, b) * gains, largest=largest)
            )
        )
        codes = np.concatenate([chunk.codes for chunk in chunks]).T
        scales = np.concatenate([chunk.scales for chunk in chunks])
        self._store(f"{name}.int8", (columns, rows), np.dtype(np.int8), [codes])
        return f"{name}.int8", self.constant(f"{name}.int8_scales", scales if row_gains is None else scales * row_gains)

    def column_peaks(self, tensors: Sequence[SourceTensor]) -> NDArray[np.float32]:
        """The largest magnitude in each column of a matrix, (columns,) float32. Adds nothing."""

        def peak(job: tuple[SourceTensor, int, int]) -> NDArray[np.float32]:
            tensor, start, stop = job
            found: NDArray[np.float32] = np.abs(tensor.float_rows(start, stop)).max(axis=0)
            return found

        return np.asarray(np.maximum.reduce(list(self._pool.map(peak, _row_chunks(tensors)))), dtype=np.float32)

    def _has(self, name: str) -> bool:
        """Whether the initializer is here, or in the graph beside and then from now on here too."""
        if name not in self._initializers and name in self._beside:
            self._initializers[name] = self._beside[name]
        return name in self._initializers

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """Another name for an initializer's bytes under another shape; costs no bytes in an external file."""
        alias = f"{name}.as_{'x'.join(map(str, shape))}"
        proto = onnx.TensorProto()
        proto.CopyFrom(self._initializers[name])
        proto.name = alias
        del proto.dims[:]
        proto.dims.extend(shape)
        self._initializers[alias] = proto
        return alias

    def _convert(
        self, tensors: Iterable[SourceTensor], convert: Callable[[SourceTensor, int, int], _Chunk]
    ) -> Iterator[_Chunk]:
        """Row chunks of all tensors in order, converted by the pool (numpy lets go of the interpreter lock)."""

        def run(job: tuple[SourceTensor, int, int]) -> tuple[_Chunk, int]:
            tensor, start, stop = job
            return convert(tensor, start, stop), (stop - start) * tensor.shape[1]

        for chunk, num_weights in self._pool.map(run, _row_chunks(tensors)):
            self._done += num_weights
            if self._progress:
                self._progress(self._done, self._total)
            yield chunk

    def _store(self, name: str, shape: Sequence[int], dtype: np.dtype[Any], chunks: Iterable[NDArray[Any]]) -> None:
        proto = onnx.TensorProto(name=name, data_type=_ONNX_TYPES[dtype], dims=shape)
        if self._data is None:
            proto.raw_data = b"".join(chunk.tobytes() for chunk in chunks)
        else:
            self._data.seek(-self._data.tell() % _ALIGNMENT, os.SEEK_CUR)
            offset = self._data.tell()
            for chunk in chunks:
                self._data.write(np.ascontiguousarray(chunk).data)
            proto.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", self._location),
                ("offset", offset),
                ("length", self._data.tell() - offset),
            ):
                proto.external_data.add(key=key, value=str(value))
        self._initializers[name] = proto

    # --- saving --------------------------------------------------------------------------------

    def save(
        self, path: Path, *, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> None:
        """Write the model file; the data file is complete when the writer is closed."""
        graph = helper.make_graph(self._nodes, name, list(inputs), list(outputs), list(self._initializers.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="npc-engine")
        path.write_bytes(model.SerializeToString())


def _row_chunks(tensors: Iterable[SourceTensor]) -> Iterator[tuple[SourceTensor, int, int]]:
    for tensor in tensors:
        step = max(1, _CHUNK_WEIGHTS // tensor.shape[1])
        for start in range(0, tensor.num_rows, step):
            yield tensor, start, min(start + step, tensor.num_rows)
