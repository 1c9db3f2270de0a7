"""Where the time of one decode step and one prompt chunk goes, and how far a step is from the memory's speed."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import math
import os
import statistics
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

# Off before the library is loaded, as the product does it: its wheels collect telemetry.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

from npc_engine.inference.spec import DecoderSpec
from tools.inference_bench.bench import Bench, Findings, Table
from tools.inference_bench.ours import opened

_RUNS, _SLOT_TOKENS, _CHUNK = 20, 512, 128
_STREAM_BYTES, _STREAM_ROUNDS = 1 << 30, 3
_GATHERS = ("Gather", "GatherBlockQuantized")


def profile(bench: Bench) -> Findings:
    """The runtime's time by operator for a step and a chunk, Python's share of a step, and the floor."""
    step_graph = bench.folder / "decoder.onnx"
    faster = bench.folder / "prefill.onnx"
    chunk_graph = faster if faster.exists() else step_graph
    context = bench.plan.decode_context_tokens
    tables = []
    for title, graph, tokens in (
        ("One decode step", step_graph, 1),
        (f"One prompt chunk of {_CHUNK} tokens", chunk_graph, _CHUNK),
    ):
        bench.say(f"profile, {title.lower()}")
        tables.append(_operators(bench, title, graph, tokens=tokens, context=context))
    bench.say("profile, Python's part")
    tables.append(_python(bench))
    bench.say("profile, memory bandwidth")
    tables.append(_floor(bench, step_graph, decode_ms=tables[-1].rows[0][1]))
    return Findings(tables=tables)


def _operators(bench: Bench, title: str, graph: Path, *, tokens: int, context: int) -> Table:
    with tempfile.TemporaryDirectory() as scratch:
        events = _profiled(bench, graph, tokens=tokens, context=context, prefix=str(Path(scratch) / "profile"))
    by_operator: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    runs = [event["dur"] for event in events if event["name"] == "model_run"][1:]
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            by_operator[event["args"]["op_name"]] += event["dur"]
            counts[event["args"]["op_name"]] += 1
    num_runs = len(runs) + 1
    whole_ms = statistics.median(runs) / 1e3
    # Sums over every run, the first included, against every run's length: shares, not absolute times.
    total = sum(event["dur"] for event in events if event["name"] == "model_run")
    rows: list[tuple[str, float, float, float]] = [
        (name, counts[name] / num_runs, spent / total * whole_ms, spent / total)
        for name, spent in sorted(by_operator.items(), key=lambda item: -item[1])
    ]
    rest = 1 - sum(row[3] for row in rows)
    rows.append(("between nodes", 0, rest * whole_ms, rest))
    rows.append(("whole run", 0, whole_ms, 1.0))
    note = f"{graph.name}, {context} tokens cached, {bench.threads} threads, with the profiler's own cost in it."
    return Table(
        section="profile", title=title, columns=("operator", "nodes", "ms", "share"), rows=list(rows), note=note
    )


def _profiled(bench: Bench, graph: Path, *, tokens: int, context: int, prefix: str) -> list[dict]:  # type: ignore[type-arg]
    """The runtime's events of some runs over the graph as the product binds it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = bench.threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_profiling, options.profile_file_prefix = True, prefix
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    spec: DecoderSpec = bench.spec
    rng = np.random.default_rng(bench.seed)
    arrays: dict[str, NDArray[Any]] = {
        "input_ids": rng.integers(0, spec.vocab_size, (1, tokens)),
        "seqlens_k": np.array([context + tokens - 1], np.int32),
        "total_sequence_length": np.array([context + tokens], np.int32),
        "last_index": np.array([tokens - 1], np.int64),
        "logits": np.zeros((1, spec.vocab_size), np.float32),
        "top_values": np.zeros((1, spec.top_k), np.float32),
        "top_ids": np.zeros((1, spec.top_k), np.int64),
    }
    binding = session.io_binding()
    kv: dict[str, NDArray[Any]] = {}
    for value in session.get_inputs():
        if value.name.startswith("past_"):
            shape = (1, spec.num_kv_heads, _SLOT_TOKENS, spec.head_dim)
            kv[value.name] = rng.standard_normal(shape, np.float32).astype(spec.kv_dtype)
    for value in session.get_inputs():
        array = kv[value.name] if value.name in kv else arrays[value.name]
        binding.bind_input(value.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for value in session.get_outputs():
        past = value.name.replace("present_", "past_")
        array = kv[past] if past in kv else arrays[value.name]
        binding.bind_output(value.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for _ in range(_RUNS):
        session.run_with_iobinding(binding)
    events: list[dict] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))  # type: ignore[type-arg]
    return events


def _python(bench: Bench) -> Table:
    """A step without the profiler: the decoder alone with the sampler, and as the engine's callers see it."""
    plan = bench.plan
    prompt = bench.texts.ids("speaker 0", plan.decode_context_tokens)
    steps = max(plan.decode_steps, 16)
    room = -(-(len(prompt) + steps + 2) // 256) * 256
    with opened(bench.folder, threads=bench.threads, num_slots=1, max_context_tokens=room) as ours:
        rows_ms = {"alone": [], "engine": []}  # type: dict[str, list[float]]
        for _ in range(plan.repeats):
            rows_ms["alone"].append(statistics.median(ours.decode([prompt], num_steps=steps)) * 1e3)
            rows_ms["engine"].append(1e3 / ours.together([prompt], num_tokens=steps))
    alone, engine = (statistics.median(rows_ms[name]) for name in ("alone", "engine"))
    rows = [
        ("decoder and sampler", alone, alone / engine),
        ("the rest of the engine, to the caller's hands", engine - alone, 1 - alone / engine),
        ("a token through the whole engine", engine, 1.0),
    ]
    return Table(section="profile", title="A step seen from Python", columns=("part", "ms", "share"), rows=list(rows))


def _floor(bench: Bench, graph: Path, *, decode_ms: float) -> Table:
    weights = step_bytes(graph)
    spec = bench.spec
    a_token = 2 * spec.num_layers * spec.num_kv_heads * spec.head_dim * np.dtype(spec.kv_dtype).itemsize
    kv = a_token * bench.plan.decode_context_tokens
    rows: list[tuple[str, float]] = []
    best = 0.0
    for threads in dict.fromkeys((1, bench.threads)):
        best = read_bandwidth(threads)
        rows.append((f"memory read, {threads} threads, GB/s", best / 1e9))
    floor_ms = (weights + kv) / best * 1e3
    rows += [
        ("weights a step reads, MB", weights / 1e6),
        (f"keys and values of {bench.plan.decode_context_tokens} tokens, MB", kv / 1e6),
        ("floor of a step, ms", floor_ms),
        ("a step, ms", decode_ms),
        ("floor / step", floor_ms / decode_ms),
    ]
    note = "Weights as stored, without the embedding table, of which a step reads one row."
    return Table(
        section="profile",
        title="Distance from the memory's speed",
        columns=("what", "value"),
        rows=list(rows),
        note=note,
    )


def step_bytes(graph: Path) -> int:
    """Bytes of the graph's weights that one step reads: all but tables that are only gathered from."""
    model = onnx.load(str(graph), load_external_data=False)
    # A quantized table's scales and zero points are gathered with it; the second input says which row.
    gathers = [node for node in model.graph.node if node.op_type in _GATHERS]
    gathered = {name for node in gathers for name in (node.input[0], *node.input[2:])}
    used = {name for node in model.graph.node if node.op_type not in _GATHERS for name in node.input}
    total = 0
    for tensor in model.graph.initializer:
        if tensor.name in used or tensor.name not in gathered:
            bits = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
            total += math.prod(tensor.dims) * bits
    return total


def read_bandwidth(threads: int) -> float:
    """Bytes a second that so many threads read from memory together.

    The C library's memchr looks for a byte that is not there: it reads with the widest loads there are, and ctypes lets
    go of the interpreter meanwhile.
    """
    library = ctypes.CDLL(ctypes.util.find_library("c") or ctypes.util.find_library("msvcrt"))
    library.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    library.memchr.restype = ctypes.c_void_p
    data = np.ones(_STREAM_BYTES, np.uint8)
    part = len(data) // threads
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_STREAM_ROUNDS):
            begun = time.perf_counter()
            list(pool.map(lambda number: library.memchr(data.ctypes.data + number * part, 0, part), range(threads)))
            best = max(best, part * threads / (time.perf_counter() - begun))
    return best
