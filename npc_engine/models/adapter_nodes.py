"""The nodes by which each row of a batch adds its own low-rank adapter to a product.

Two inputs say who does: `adapter_index` (B,), the number of each row's adapter, and `adapter_rows` (R,), the rows of
the stacks of those in use. They are copied out of the stacks, so a step costs what is in use, not what is installed;
and what is of another batch row's adapter is masked off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper

from npc_engine.models.graph_writer import MICROSOFT, GraphWriter

INDEX = "adapter_index"
ROWS = "adapter_rows"


def adapter_inputs() -> tuple[ValueInfoProto, ValueInfoProto]:
    """The two inputs that a graph with adapters has besides."""
    return (
        helper.make_tensor_value_info(INDEX, TensorProto.INT64, ["B"]),
        helper.make_tensor_value_info(ROWS, TensorProto.INT64, ["R"]),
    )


class AdapterNodes:
    """Adds adapters to products of one graph.

    Args:
        writer: The graph's.
        owners: (all rows,) int64, the number of the adapter that each row of the stacks is of.
    """

    def __init__(self, writer: GraphWriter, owners: NDArray[np.int64]) -> None:
        self._writer = writer
        self._owners = owners
        self._masks: dict[int, str] = {}

    def add(self, x: str, out: str, name: str, *, a: str, b: str, widths: tuple[int, int], num_parts: int) -> str:
        """`out + ((x @ a[rows].T) * mask) @ b[rows]`.

        Args:
            x: (B, S, columns), what enters the product.
            out: (B, S, outputs), what it gives.
            name: Of the product.
            a: An initializer (all rows, num_parts * columns).
            b: An initializer (all rows, num_parts * outputs).
            widths: columns, outputs.
            num_parts: Pairs side by side in a row of the stacks.
        """
        writer = self._writer
        halves = []
        for half, stack, width in (("a", a, widths[0]), ("b", b, widths[1])):
            taken = writer.node("Gather", [stack, ROWS], f"{name}/lora_{half}_rows")
            if num_parts > 1:
                shape = writer.constant(f"rows_of_{width}", np.array([-1, width], np.int64))
                taken = writer.node("Reshape", [taken, shape], f"{name}/lora_{half}")
            halves.append(taken)
        inner = writer.node("FusedMatMul", [x, halves[0]], f"{name}/lora_inner", MICROSOFT, transB=1)
        masked = writer.node("Mul", [inner, self._mask(num_parts)], f"{name}/lora_masked")
        change = writer.node("MatMul", [masked, halves[1]], f"{name}/lora_change")
        return writer.node("Add", [out, change], f"{name}/adapted")

    def _mask(self, num_parts: int) -> str:
        """(B, 1, R * num_parts): 1 where a row of the stacks is the batch row's own adapter's, else 0."""
        writer = self._writer
        if num_parts not in self._masks:
            owners = writer.constant("adapter_owners", self._owners)
            owner = writer.node("Gather", [owners, ROWS], f"adapter_owner_{num_parts}")
            axes = writer.constant("axes_1_2_3", np.array([1, 2, 3], np.int64))
            index = writer.node("Unsqueeze", [INDEX, axes], f"adapter_column_{num_parts}")  # (B, 1, 1, 1)
            last = writer.constant("axis_1", np.array([1], np.int64))
            column = writer.node("Unsqueeze", [owner, last], f"adapter_owner_column_{num_parts}")  # (R, 1)
            wide = writer.node("Concat", [column] * num_parts, f"adapter_owner_parts_{num_parts}", axis=1)
            same = writer.node("Equal", [index, wide], f"adapter_same_{num_parts}")  # (B, 1, R, parts)
            cast = writer.node("Cast", [same], f"adapter_cast_{num_parts}", to=writer.onnx_type)
            shape = writer.constant("adapter_mask_shape", np.array([0, 1, -1], np.int64))
            self._masks[num_parts] = writer.node("Reshape", [cast, shape], f"adapter_mask_{num_parts}")
        return self._masks[num_parts]
