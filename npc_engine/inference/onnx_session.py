"""Sessions of ONNX Runtime: which provider they really got, bindings by address, and stopping a run.

The only module that imports onnxruntime. It knows nothing of models: arrays in, arrays out.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

# The published wheels collect telemetry from the first session on; this is read when the library is loaded. Measured
# with 1.31: `disable_telemetry_events()` after the import still writes its files into the user's cache folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort
from numpy.typing import NDArray

from npc_engine.config import Device
from npc_engine.errors import CorruptModel, DeviceUnavailable

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

_FATAL = 4
_ERROR = 3


class RunTerminated(Exception):
    """A run was stopped by its StopFlag; its outputs are undefined."""


class StopFlag:
    """Stops the runs that carry it, from any thread. One-way: a stopped flag stays stopped."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        # No captured graph. Left unset, the runtime's Python side catches an exception a run: 66 us (measured).
        self.options.add_run_config_entry("gpu_graph_id", "-1")

    def stop(self) -> None:
        """Make current and later runs with this flag end with RunTerminated within milliseconds."""
        self.options.terminate = True


@dataclass(frozen=True)
class DeviceArray:
    """A C-contiguous array at an address on a device. The owner must outlive every use.

    Attributes:
        device: Where the address is valid.
        address: First byte.
        shape: Dimensions.
        dtype: Element type.
    """

    device: Literal["cpu", "cuda"]
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, array: NDArray[Any]) -> DeviceArray:
        """Describe a host array; refuses one that is not C-contiguous."""
        if not array.flags.c_contiguous:
            raise ValueError("array must be C-contiguous")
        return cls("cpu", array.ctypes.data, array.shape, array.dtype)


class Binding:
    """Inputs and outputs of a session tied to addresses, so that a run allocates and converts nothing."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._binding = session.io_binding()

    def bind_input(self, name: str, array: DeviceArray) -> None:
        """Read the input from this address at each run; replaces what was bound."""
        self._binding.bind_input(name, array.device, 0, array.dtype.type, array.shape, array.address)

    def bind_output(self, name: str, array: DeviceArray) -> None:
        """Write the output to this address at each run; replaces what was bound."""
        self._binding.bind_output(name, array.device, 0, array.dtype.type, array.shape, array.address)

    def run(self, stop: StopFlag | None = None) -> None:
        """Run once; the GIL is released meanwhile.

        Raises:
            RunTerminated: `stop` was set; the bound outputs are undefined.
        """
        options = stop.options if stop is not None else None
        try:
            self._session.run_with_iobinding(self._binding, options)
        except Exception as error:  # the runtime's own exception classes are private to its binding
            if stop is not None and stop.options.terminate:
                raise RunTerminated from error
            raise


class OnnxSession:
    """One loaded graph.

    Attributes:
        provider: The execution provider that the session really got.
        fallback_reason: Why it is not CUDA although `auto` would have taken it; empty otherwise.
    """

    def __init__(self, session: ort.InferenceSession, *, fallback_reason: str) -> None:
        self._session = session
        self.provider: str = session.get_providers()[0]
        self.fallback_reason = fallback_reason
        self.input_names = tuple(value.name for value in session.get_inputs())
        self.output_names = tuple(value.name for value in session.get_outputs())

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """Where the session's large tensors live."""
        return "cuda" if self.provider == CUDA_PROVIDER else "cpu"

    def binding(self) -> Binding:
        """A new, empty binding; every input and output must be bound before its first run."""
        return Binding(self._session)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once with host arrays; thread-safe. Returns the named outputs in order."""
        result: list[NDArray[Any]] = self._session.run(list(outputs), dict(inputs))
        return result


def open_session(path: Path, *, device: Device, threads: int) -> OnnxSession:
    """Load a graph on the device asked for.

    Thread pools stop spinning when a run ends: with several sessions on the same cores, spinning threads of idle
    sessions slow the busy one two to three times. Source: measured on 2 cores, median decode step 18-30 ms with
    default spinning against 8-11 ms with this setting, equal to one pool shared by all sessions.

    Args:
        path: The `.onnx` file; its external data lies beside it.
        device: `auto` takes CUDA where wheel, driver and libraries offer it and else says why not.
        threads: CPU threads of this session.

    Raises:
        CorruptModel: The graph is missing or does not load.
        DeviceUnavailable: `device` is `cuda` and the session cannot have it.
    """
    reason = "" if device == "cpu" else cuda_problem()
    if device == "cuda" and reason:
        raise _unavailable(reason)
    use_cuda = device != "cpu" and not reason
    session = _create(path, use_cuda=use_cuda, threads=threads)
    opened = OnnxSession(session, fallback_reason=reason)
    if use_cuda and opened.device != "cuda":
        # onnxruntime falls back to the CPU without raising, so the session is asked what it got.
        reason = "onnxruntime could not start its CUDA provider although driver and libraries load"
        if device == "cuda":
            raise _unavailable(reason)
        opened.fallback_reason = reason
    return opened


def _create(path: Path, *, use_cuda: bool, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR
    options.add_session_config_entry("session.force_spinning_stop", "1")
    providers = [CUDA_PROVIDER, CPU_PROVIDER] if use_cuda else [CPU_PROVIDER]
    try:
        with _quiet():
            return ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # the runtime's own exception classes are private to its binding
        raise CorruptModel(
            f"{path}: {_first_line(error)}", hint="npc-engine models verify NAME, then pull it again"
        ) from error


def _unavailable(reason: str) -> DeviceUnavailable:
    return DeviceUnavailable(
        f"no CUDA: {reason}",
        hint="set device = auto or cpu; or install a driver and `pip install npc-dialogue-engine[cuda]`, "
        "then run `npc-engine doctor`",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the runtime's own report of missing CUDA libraries off the terminal; we give the reason ourselves."""
    ort.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_ERROR)


@cache
def cuda_problem() -> str:
    """Why a session cannot have CUDA here, or "" when wheel, driver, device and libraries are all there.

    Checked once a process, in order of cost, without starting the provider.
    """
    if CUDA_PROVIDER not in ort.get_available_providers():
        return f"the installed onnxruntime {ort.__version__} is a CPU build"
    windows = sys.platform == "win32"
    try:
        driver = ctypes.CDLL("nvcuda.dll" if windows else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver reports no device"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # preload_dlls prints what it cannot find
        ort.preload_dlls()
    missing = [line for line in said.getvalue().splitlines() if line.startswith("Failed to load")]
    return f"CUDA libraries are missing: {'; '.join(missing)}" if missing else ""


@cache
def int8_products_saturate() -> bool:
    """Whether this processor's int8 products are wrong for large codes, found by computing one.

    x86 without VNNI adds pairs of uint8 x int8 products in 16 bits, which two of 255 x 127 do not fit. Source:
    onnxruntime's quantization guide, "U8S8 saturation". The runtime does not say which instruction it takes, so a
    product is computed and compared.
    """
    columns = 64
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "saturation",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, [4, columns])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT32, [4, columns])],
        [onnx.numpy_helper.from_array(np.full((columns, columns), 127, np.int8), "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=[CPU_PROVIDER])
    products: NDArray[np.int32] = session.run(["y"], {"x": np.full((4, columns), 255, np.uint8)})[0]
    return not bool((products == columns * 255 * 127).all())


def runtime_version() -> str:
    """The installed runtime's version; kernels of another may round in another way."""
    return str(ort.__version__)


def runtime_info() -> dict[str, str]:
    """Describe the installed runtime, for `npc-engine doctor`. Starts no session.

    Returns:
        `onnxruntime` version, `packages` installed (two is a fault: they share a folder), `providers` the build
        offers, `cuda` ("available" or why not), `build` details and `machine`.
    """
    packages = [
        f"{name} {distribution.version}"
        for name in ("onnxruntime", "onnxruntime-gpu")
        for distribution in metadata.distributions(name=name)
    ]
    return {
        "onnxruntime": str(ort.__version__),
        "packages": ", ".join(dict.fromkeys(packages)),
        "providers": ", ".join(ort.get_available_providers()),
        "cuda": cuda_problem() or "available",
        "build": str(ort.get_build_info()),
        "machine": f"{platform.system()} {platform.machine()}",
    }


class RowBuffer:
    """Zeroed rows on a device, read, written and copied by row number: one graph run a call, however many rows.

    The runtime's Python API has no view of a device array, so copies are graphs bound by address: Gather takes rows
    out, ScatterND puts rows in, its output bound to its input's memory. On the CPU the same graphs run, for tests.

    Args:
        shape: (rows, values a row).
        dtype: Of a value.
        device: Where the rows lie.

    Attributes:
        nbytes: Bytes reserved.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any], *, device: Literal["cpu", "cuda"]) -> None:
        self._value = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), device, 0)
        self._array = DeviceArray(device, self._value.data_ptr(), shape, dtype)
        self.nbytes = int(np.prod(shape)) * dtype.itemsize
        providers = [CUDA_PROVIDER, CPU_PROVIDER] if device == "cuda" else [CPU_PROVIDER]
        gather = onnx.helper.make_node("Gather", ["rows", "sources"], ["taken"], axis=0)
        scatter = onnx.helper.make_node("ScatterND", ["rows", "targets", "taken"], ["changed"])
        self._read = self._graph([gather], ["sources"], "taken", providers)
        self._write = self._graph([scatter], ["targets", "taken"], "changed", providers)
        self._copy = self._graph([gather, scatter], ["sources", "targets"], "changed", providers)

    def view(self, row: int, shape: tuple[int, ...]) -> DeviceArray:
        """The rows from `row` on as an array of this shape, in place."""
        dtype, width = self._array.dtype, self._array.shape[1]
        return DeviceArray(self._array.device, self._array.address + row * width * dtype.itemsize, shape, dtype)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Copy rows to the host: (len(rows), values a row)."""
        taken = np.empty((len(rows), self._array.shape[1]), self._array.dtype)
        self._run(self._read, DeviceArray.of(taken), sources=rows)
        return taken

    def write(self, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Copy host values (len(rows), values a row) over rows."""
        self._run(self._write, self._array, targets=rows[:, None], taken=values)

    def copy(self, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> None:
        """Copy rows over rows. All are read before any is written, so that sources and targets may swap."""
        self._run(self._copy, self._array, sources=sources, targets=targets[:, None])

    def _run(self, session: ort.InferenceSession, output: DeviceArray, **inputs: NDArray[Any]) -> None:
        if output.shape[0] == 0 or any(len(array) == 0 for array in inputs.values()):
            return
        binding = Binding(session)
        binding.bind_input("rows", self._array)
        for name, array in inputs.items():
            binding.bind_input(name, DeviceArray.of(array))
        binding.bind_output(session.get_outputs()[0].name, output)
        binding.run()

    def _graph(
        self, nodes: list[onnx.NodeProto], inputs: list[str], output: str, providers: list[str]
    ) -> ort.InferenceSession:
        element = onnx.helper.np_dtype_to_tensor_dtype(self._array.dtype)
        width = self._array.shape[1]
        kinds = {
            "rows": onnx.helper.make_tensor_value_info("rows", element, ["all", width]),
            "changed": onnx.helper.make_tensor_value_info("changed", element, ["all", width]),
            "taken": onnx.helper.make_tensor_value_info("taken", element, ["n", width]),
            "sources": onnx.helper.make_tensor_value_info("sources", onnx.TensorProto.INT64, ["n"]),
            "targets": onnx.helper.make_tensor_value_info("targets", onnx.TensorProto.INT64, ["n", 1]),
        }
        graph = onnx.helper.make_graph(nodes, "rows", [kinds[name] for name in ("rows", *inputs)], [kinds[output]])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
        return ort.InferenceSession(model.SerializeToString(), providers=providers)
