"""What KV memory costs: copies, snapshots in float and int8, looking up, decode runs, and a start with prefix files.

python tools/bench_kv.py copies  --model tiny              fork, save, restore, files: milliseconds and bytes
python tools/bench_kv.py quality --model tiny              int8 snapshots against float ones: KL and greedy agreement
python tools/bench_kv.py runs    --model tiny              one decode run of 4 slots against 4 runs of one
python tools/bench_kv.py match                             looking up among many conversations
python tools/bench_kv.py restart --model tiny              warming the shipped characters, without and with files

Each prints a table and, with --json FILE, writes the same figures. Models are installed ones; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from npc_engine.config import EngineConfig, load_config
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.prefix_store import PrefixStore, SnapshotSource
from npc_engine.inference.snapshot_codec import CODECS, KvLayout
from npc_engine.inference.snapshot_files import SnapshotFiles
from npc_engine.models.installed import find_installed
from npc_engine.models.tokenizer import ChatTokenizer

SHEETS = Path(__file__).resolve().parents[1] / "character_sheets"
Rows = list[dict[str, Any]]


def median_ms(work: Callable[[], object], *, repeats: int) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(repeats):
        start_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - start_s)
    return round(1000 * float(np.median(times)), 3)


def open_model(args: argparse.Namespace, **settings: Any) -> tuple[Decoder, ChatTokenizer]:
    config = load_config(model=args.model, device="cpu", threads=args.threads, **settings)
    folder = find_installed(config.model, config.cache_dir).path
    return Decoder.load(folder, config=config), ChatTokenizer.load(folder)


def prompts(tokenizer: ChatTokenizer, *, tokens: int, count: int) -> list[list[int]]:
    """The beginnings of the shipped sheets' texts, as plain text."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(SHEETS.rglob("*.yaml"))]
    ids = [tokenizer.raw.encode(text, add_special_tokens=False).ids[:tokens] for text in texts]
    return [each for each in ids if len(each) == tokens][:count]


def prefill(decoder: Decoder, slot: int, ids: list[int]) -> None:
    held = decoder.kv.slots[slot].token_ids
    held.clear()
    for start in range(0, len(ids), decoder.max_chunk_tokens):
        chunk = ids[start : start + decoder.max_chunk_tokens]
        decoder.prefill(slot, chunk, num_cached_tokens=start)
        held.extend(chunk)


def copies(args: argparse.Namespace) -> Rows:
    decoder, tokenizer = open_model(args, max_context_tokens=1024, num_slots=2)
    kv, (ids,) = decoder.kv, prompts(tokenizer, tokens=args.tokens, count=1)
    start_s = time.perf_counter()
    prefill(decoder, 0, ids)
    rows: Rows = [
        {"what": "prefill", "codec": "", "ms": round(1000 * (time.perf_counter() - start_s), 1), "bytes": 0},
        {
            "what": "fork",
            "codec": "",
            "ms": median_ms(lambda: kv.fork(kv.slots[0], kv.slots[1], len(ids)), repeats=args.repeats),
            "bytes": len(ids) * kv.memory.layout.nbytes,
        },
        {
            "what": "exchange of two",
            "codec": "",
            "ms": median_ms(lambda: kv.exchange(kv.slots[0], kv.slots[1]), repeats=2 * args.repeats),
            "bytes": 2 * len(ids) * kv.memory.layout.nbytes,
        },
    ]
    for name, codec in CODECS.items():

        def save(codec: Any = codec) -> PrefixStore:
            store = PrefixStore(1 << 32, codec)
            store.insert("prefix", ids, kv.source(kv.slots[0]))
            return store

        def restore(store: PrefixStore) -> None:
            kv.rewind(kv.slots[1], 0)
            kv.restore(store.match(ids), kv.slots[1], ids)

        store = save()
        rows += [
            {"what": "save", "codec": name, "ms": median_ms(save, repeats=args.repeats), "bytes": store.nbytes},
            {
                "what": "restore",
                "codec": name,
                "ms": median_ms(lambda store=store: restore(store), repeats=args.repeats),  # type: ignore[misc]
                "bytes": store.nbytes,
            },
        ]
        with tempfile.TemporaryDirectory() as folder:
            files = SnapshotFiles(Path(folder), max_bytes=1 << 40, fingerprint="bench", codec=codec)
            start_s = time.perf_counter()
            files.save(ids, kv.memory.layout, store.match(ids).pieces)
            files.wait()
            write_ms = round(1000 * (time.perf_counter() - start_s), 1)
            read_ms = median_ms(lambda files=files: files.load(ids, kv.memory.layout), repeats=args.repeats)  # type: ignore[misc]
            rows += [
                {"what": "write file", "codec": name, "ms": write_ms, "bytes": files.nbytes},
                {"what": "read file", "codec": name, "ms": read_ms, "bytes": files.nbytes},
            ]
            files.close()
    return rows


def quality(args: argparse.Namespace) -> Rows:
    """Continue each prompt greedily from float keys and values; follow the same tokens from int8 ones."""
    decoder, tokenizer = open_model(args, max_context_tokens=1024, num_slots=1)
    divergence, agree, diverged = [], [], []
    for ids in prompts(tokenizer, tokens=args.tokens, count=args.prompts):
        cached, last = ids[:-1], ids[-1]
        prefill(decoder, 0, cached)
        values = decoder.kv.memory.read(0, len(cached))
        kept = CODECS["int8"].encode(values).decode(0, len(cached))

        def follow(start: Any, forced: list[int] | None, last: int = last, length: int = len(cached)) -> Any:
            decoder.kv.memory.write(0, start)
            current, logs, chosen = last, [], []
            for step in range(args.steps):
                logits = decoder.decode(0, [current], num_cached_tokens=[length + step]).full[0].astype(np.float64)
                logs.append(logits - logits.max() - np.log(np.exp(logits - logits.max()).sum()))
                chosen.append(int(logits.argmax()))
                current = chosen[-1] if forced is None else forced[step]
            return logs, chosen

        expected, tokens = follow(values, None)
        seen, guesses = follow(kept, tokens)
        divergence += [float((np.exp(p) * (p - q)).sum()) for p, q in zip(expected, seen, strict=True)]
        agree += [left == right for left, right in zip(tokens, guesses, strict=True)]
        _, free = follow(kept, None)
        diverged.append(free != tokens)
    return [
        {
            "prompts": len(diverged),
            "steps": args.steps,
            "kl_mean": round(float(np.mean(divergence)), 6),
            "kl_p95": round(float(np.percentile(divergence, 95)), 6),
            "kl_max": round(float(np.max(divergence)), 6),
            "greedy_agreement": round(float(np.mean(agree)), 4),
            "replies_that_differ": int(sum(diverged)),
        }
    ]


def runs(args: argparse.Namespace) -> Rows:
    decoder, tokenizer = open_model(args, max_context_tokens=1024, num_slots=4)
    (ids,) = prompts(tokenizer, tokens=args.tokens, count=1)
    prefill(decoder, 0, ids)
    for slot in (1, 2, 3):
        decoder.kv.fork(decoder.kv.slots[0], decoder.kv.slots[slot], len(ids))
    together = {
        n: median_ms(lambda n=n: decoder.decode(0, [5] * n, num_cached_tokens=[len(ids)] * n), repeats=args.repeats)  # type: ignore[misc]
        for n in (1, 2, 3, 4)
    }
    return [
        {"slots in one run": n, "ms": ms, "ms as runs of one": round(n * together[1], 3)} for n, ms in together.items()
    ]


def match(args: argparse.Namespace) -> Rows:
    """1,000 conversations over 32 characters whose prefixes have 400 to 600 tokens, 100 tokens of talk each."""
    rng = np.random.default_rng(args.seed)
    layout = KvLayout(parts=2, heads=1, head_dim=4, dtype=np.dtype(np.float32))
    source = SnapshotSource(layout, lambda start, stop: np.zeros((2, 1, stop - start, 4), np.float32))
    rows: Rows = []
    for num_talks in (0, 100, 1000, 10_000):
        store, tokens_whole = PrefixStore(1 << 40), 0
        characters = [rng.integers(0, 50_000, int(rng.integers(400, 600))) for _ in range(32)]
        for index, ids in enumerate(characters):
            store.insert(f"character{index}", ids, source, pinned=True)
            tokens_whole += len(ids)
        for talk in range(num_talks):
            ids = np.concatenate([characters[talk % 32], rng.integers(0, 50_000, 100)])
            store.insert(f"talk{talk}", ids, source)
            tokens_whole += len(ids)
        ms = median_ms(lambda: store.match(ids), repeats=args.repeats * 20)  # noqa: B023
        tokens = store.nbytes // (layout.nbytes + 8)
        rows.append({"conversations": num_talks, "match_ms": ms, "tokens kept": tokens, "if kept whole": tokens_whole})
    return rows


def restart(args: argparse.Namespace) -> Rows:
    from npc_engine.dialogue.engine import load_dialogue

    async def start(config: EngineConfig) -> dict[str, Any]:
        dialogue = load_dialogue(config)
        start_s = time.perf_counter()
        await dialogue.start()
        await dialogue.warmed()
        warm_s = time.perf_counter() - start_s
        stats = dialogue._engine.stats()
        await dialogue.aclose()
        names = ("prefix_bytes", "prefix_entries", "prefix_files_loaded")
        return {"warm_s": round(warm_s, 2), **{name: stats[name] for name in names}}

    rows: Rows = []
    for dtype in args.dtypes:
        with tempfile.TemporaryDirectory() as folder:
            options = {"prefix_store_dir": Path(folder), "prefix_store_disk_bytes": 4 << 30, "kv_snapshot_dtype": dtype}
            config = load_config(model=args.model, device="cpu", threads=args.threads, **options)
            for which in ("first start", "second start"):
                row = {"start": which, "dtype": dtype} | asyncio.run(start(config))
                on_disk = sum(path.stat().st_size for path in Path(folder).iterdir())
                rows.append(row | {"disk_bytes": on_disk})
    return rows


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    works = {work.__name__: work for work in (copies, quality, runs, match, restart)}
    parser.add_argument("what", choices=works)
    parser.add_argument("--model", default="tiny", help="an installed dialogue model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=500, help="length of a prompt")
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--dtypes", nargs="+", default=["float"], choices=list(CODECS), help="of restart")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    rows = works[args.what](args)
    names = list(rows[0])
    print("  ".join(f"{name:>16}" for name in names))
    for row in rows:
        print("  ".join(f"{row[name]!s:>16}" for name in names))
    if args.json:
        args.json.write_text(json.dumps({"what": args.what, "model": args.model, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
