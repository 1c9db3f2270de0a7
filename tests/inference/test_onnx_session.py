from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

from npc_engine.errors import CorruptModel, DeviceUnavailable
from npc_engine.inference.onnx_session import (
    CPU_PROVIDER,
    DeviceArray,
    RunTerminated,
    StopFlag,
    cuda_problem,
    open_session,
    runtime_info,
)
from tests.stubs import build_stub_encoder

TELEMETRY_VARIABLES = ("ORT_DISABLE_TELEMETRY",)


def write_graph(path: Path, *, repeats: int = 1) -> Path:
    """A chain of square matrix products, as long a run as is asked for."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("MatMul", [f"x{i}", "x0"], [f"x{i + 1}"]) for i in range(repeats)]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x0", float32, ["n", "n"])],
        [helper.make_tensor_value_info(f"x{repeats}", float32, ["n", "n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save_model(model, path)
    return path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "graph.onnx")


def test_cpu_is_what_cpu_gets(graph: Path) -> None:
    session = open_session(graph, device="cpu", threads=1)
    assert (session.provider, session.device, session.fallback_reason) == (CPU_PROVIDER, "cpu", "")


@pytest.mark.skipif(not cuda_problem(), reason="a CUDA device is here")
def test_auto_says_why_it_fell_back_and_keeps_the_terminal_clean(
    graph: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = open_session(graph, device="auto", threads=1)
    assert session.provider == CPU_PROVIDER
    assert session.fallback_reason == cuda_problem() != ""
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not cuda_problem(), reason="a CUDA device is here")
def test_cuda_that_cannot_be_had_is_an_error_with_the_next_step(graph: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="no CUDA: ") as caught:
        open_session(graph, device="cuda", threads=1)
    assert "npc-engine doctor" in caught.value.hint


@pytest.mark.gpu
@pytest.mark.skipif(bool(cuda_problem()), reason=f"no CUDA: {cuda_problem()}")
def test_cuda_is_what_auto_gets_where_there_is_one(graph: Path) -> None:
    session = open_session(graph, device="auto", threads=1)
    assert (session.device, session.fallback_reason) == ("cuda", "")


@pytest.mark.parametrize("content", [None, b"", b"\x00not a graph"])
def test_a_graph_that_does_not_load_is_a_corrupt_model(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "graph.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorruptModel, match=r"graph\.onnx") as caught:
        open_session(path, device="cpu", threads=1)
    assert caught.value.hint


def test_a_binding_reads_and_writes_where_it_is_told(graph: Path) -> None:
    session = open_session(graph, device="cpu", threads=1)
    source, target = np.eye(3, dtype=np.float32) * 2, np.zeros((3, 3), np.float32)
    binding = session.binding()
    binding.bind_input("x0", DeviceArray.of(source))
    binding.bind_output("x1", DeviceArray.of(target))
    for factor in (2, 3):
        source[:] = np.eye(3) * factor
        binding.run()
        np.testing.assert_array_equal(target, np.eye(3) * factor**2)


def test_a_strided_array_has_no_address_to_bind() -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        DeviceArray.of(np.zeros((4, 4), np.float32)[:, ::2])


def test_a_stop_flag_ends_a_running_run(tmp_path: Path) -> None:
    session = open_session(write_graph(tmp_path / "long.onnx", repeats=20_000), device="cpu", threads=1)
    values, target = np.eye(256, dtype=np.float32), np.zeros((256, 256), np.float32)
    binding = session.binding()
    binding.bind_input("x0", DeviceArray.of(values))
    binding.bind_output("x20000", DeviceArray.of(target))
    flag = StopFlag()
    timer = threading.Timer(0.05, flag.stop)
    timer.start()
    with pytest.raises(RunTerminated):
        binding.run(flag)
    timer.join()
    assert not target.any()


def test_a_failing_run_without_a_stop_is_not_taken_for_a_stopped_one(graph: Path) -> None:
    session = open_session(graph, device="cpu", threads=1)
    binding = session.binding()
    source, target = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
    binding.bind_input("x0", DeviceArray.of(source))
    binding.bind_output("x1", DeviceArray.of(target))
    with pytest.raises(Exception, match=r"INVALID_ARGUMENT|FAIL|[Dd]im"):
        binding.run(StopFlag())


def test_runtime_info_is_complete() -> None:
    info = runtime_info()
    assert info["onnxruntime"].startswith("1.31.")
    assert CPU_PROVIDER in info["providers"]
    assert info["packages"].count("onnxruntime") == 1, "onnxruntime and onnxruntime-gpu share a folder"
    assert all(info.values())


def test_no_telemetry_is_written(tmp_path):
    """A session in a process with an empty home leaves nothing there."""
    (folder := tmp_path / "encoder").mkdir()
    build_stub_encoder(folder)
    program = (
        "import sys; from pathlib import Path; from npc_engine.config import load_config; "
        "from npc_engine.inference.encoder import SentenceEncoder; "
        "SentenceEncoder.load(Path(sys.argv[1]), config=load_config(device='cpu', threads=1))"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in TELEMETRY_VARIABLES}
    environment |= dict.fromkeys(("HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA"), str(home))
    subprocess.run([sys.executable, "-c", program, str(folder)], env=environment, check=True)
    assert list(home.rglob("*")) == []
