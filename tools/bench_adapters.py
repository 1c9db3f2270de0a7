"""What LoRA adapters that a row chooses at run time cost: decode steps and prefill against the graph without any.

python tools/bench_adapters.py SOURCE                     SOURCE: the GGUF that an installed model was built of
python tools/bench_adapters.py SOURCE --adapters 1 4 16 --ranks 8 16 --json FILE

Adapters are random, of the right shapes, on all seven products of every layer. Each graph is built in a temporary
folder and measured beside the plain one, run by run in turn, on one thread; a time is the process's CPU time, so that
what else runs on the machine counts little. Printed are the median of the plain graph and the median of the ratios.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from npc_engine.config import EngineConfig
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.onnx_session import int8_products_saturate
from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.adapters import AdapterStack
from npc_engine.models.build import open_weights
from npc_engine.models.graph import TOP_K, count_weights, write_decoder_graph
from npc_engine.models.lora import LINEAR_MODULES, LoraAdapter, LoraPair
from npc_engine.models.prefill_graph import MAX_CODE, MAX_CODE_SATURATING, measure_peaks, write_prefill_graph
from npc_engine.models.weights import WeightSource

CACHED_TOKENS, CHUNK_TOKENS, BATCH = 128, 256, 8
Rows = list[dict[str, Any]]


def random_adapter(source: WeightSource, rank: int, seed: int) -> LoraAdapter:
    """A pair for every product of every layer, that changes it by some percent."""
    rng = np.random.default_rng(seed)
    pairs = {}
    for layer in range(source.config.num_layers):
        for part in LINEAR_MODULES:
            rows, columns = source.tensors[name := f"blk.{layer}.{part}.weight"].shape
            a = rng.standard_normal((rank, columns), dtype=np.float32) * np.float32(columns**-0.5)
            b = rng.standard_normal((rows, rank), dtype=np.float32) * np.float32(0.02 / rank)
            pairs[name] = LoraPair(a=a, b=b, scale=1.0)
    return LoraAdapter(folder=Path(), pairs=pairs, biases={}, bias_changes={}, base_model="", files={})


def build(source: WeightSource, folder: Path, stack: AdapterStack | None) -> int:
    """Both graphs and decoder.json, without the gate: what is measured is time. Returns the bytes of the weights."""
    config = source.config
    graph = write_decoder_graph(source, folder, precision="int4", total_weights=count_weights(source), adapters=stack)
    code = MAX_CODE_SATURATING if int8_products_saturate() else MAX_CODE
    peaks = measure_peaks(graph, folder, [(7 * step + 1) % config.vocab_size for step in range(64)])
    write_prefill_graph(graph, folder, max_code=code, peaks=peaks)
    DecoderSpec(
        architecture=config.architecture,
        precision="int4",
        kv_dtype="float32",
        **{
            field.name: getattr(config, field.name)
            for field in dataclasses.fields(DecoderSpec)
            if hasattr(config, field.name) and field.name != "architecture"
        },
        top_k=TOP_K,
        eos_token_ids=(0,),
        prefill_precision="w8a8",
        prefill_max_code=code,
        adapters=stack.names if stack else (),
        adapter_ranks=stack.ranks if stack else (),
    ).save(folder / "decoder.json")
    return sum(path.stat().st_size for path in folder.glob("*.data"))


def load(folder: Path) -> Decoder:
    """On one thread, with the slots that are measured."""
    config = EngineConfig(
        device="cpu", threads=1, num_slots=BATCH, max_context_tokens=512, prefill_chunk_tokens=CHUNK_TOKENS
    )
    return Decoder.load(folder, config=config)


def compared(plain: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median milliseconds of the plain one, and the median ratio of the other to it; they run in turn."""
    times = []
    for _ in range(repeats):
        pair = []
        for work in (plain, other):
            start_s = time.process_time()
            work()
            pair.append(time.process_time() - start_s)
        times.append(pair)
    found = np.array(times[1:])
    return round(1e3 * float(np.median(found[:, 0])), 2), round(float(np.median(found[:, 1] / found[:, 0])), 3)


def measure(plain: Decoder, adapted: Decoder, repeats: int) -> Rows:
    """Every combination of batch and adapters in use."""
    num = len(adapted.spec.adapters)
    rows: Rows = []
    for batch in (1, BATCH):
        ids, lengths = [5] * batch, [CACHED_TOKENS] * batch
        cases = {"none": [0] * batch, "one": [1] * batch}
        if num > 1 and batch > 1:
            cases[f"{min(num, batch)} mixed"] = [1 + row % num for row in range(batch)]
        for name, adapters in cases.items():
            ms, ratio = compared(
                lambda: plain.decode(0, ids, num_cached_tokens=lengths),  # noqa: B023
                lambda: adapted.decode(0, ids, num_cached_tokens=lengths, adapters=adapters),  # noqa: B023
                repeats,
            )
            rows.append({"run": f"decode, batch {batch}", "in use": name, "plain_ms": ms, "ratio": ratio})
    prompt = [(11 * step + 3) % plain.spec.vocab_size for step in range(CHUNK_TOKENS)]
    for name, adapter in (("none", 0), ("one", 1)):
        ms, ratio = compared(
            lambda: plain.prefill(0, prompt, num_cached_tokens=0),
            lambda: adapted.prefill(0, prompt, num_cached_tokens=0, adapter=adapter),  # noqa: B023
            max(5, repeats // 10),
        )
        rows.append({"run": f"prefill, {CHUNK_TOKENS} tokens", "in use": name, "plain_ms": ms, "ratio": ratio})
    return rows


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a decoder's GGUF file or safetensors folder")
    parser.add_argument("--adapters", type=int, nargs="+", default=[1, 4], help="how many are installed")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--repeats", type=int, default=60, help="of a decode step; a tenth of it for prefill")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    source = open_weights(args.source)
    rows: Rows = []
    with tempfile.TemporaryDirectory() as root:
        plain_folder = Path(root) / "plain"
        plain_folder.mkdir()
        plain_bytes = build(source, plain_folder, None)
        plain = load(plain_folder)
        for rank in args.ranks:
            for count in args.adapters:
                stack = AdapterStack({f"a{seed}": random_adapter(source, rank, seed) for seed in range(count)})
                with tempfile.TemporaryDirectory(dir=root) as folder:
                    added = build(source, Path(folder), stack) - plain_bytes
                    found = measure(plain, load(Path(folder)), args.repeats)
                for row in found:
                    row = {"adapters": count, "rank": rank, "mb_added": round(added / 1e6, 1)} | row
                    print("  ".join(f"{name} {value!s:<20}" for name, value in row.items()), flush=True)
                    rows.append(row)
    if args.json:
        args.json.write_text(json.dumps({"source": args.source.name, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
