"""How fast pairs are judged: `python tools/bench_nli.py --model FOLDER --source FOLDER`.

FOLDER of --model holds the int8 classifier as installed; FOLDER of --source holds the same weights as published
(config.json, safetensors, tokenizer.json). With --source the same pairs run through transformers on torch (float32, as
many threads) in this process, in turns: blocks of calls, the first of each block not counted, since one library's
threads still spin when the other's turn comes. The ratio is what may be quoted. Tokenizing counts on both sides.

Pairs are those of tests/data/nli_pairs.jsonl: facts and spoken sentences of real length. Speed does not depend on the
weights, so a folder with a random head serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npc_engine.config import EngineConfig
from npc_engine.inference.classifier import Pair, PairClassifier

PAIRS = Path(__file__).parents[1] / "tests" / "data" / "nli_pairs.jsonl"
BLOCK = 4

Judge = Callable[[Sequence[Pair]], Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder with classifier.onnx")
    parser.add_argument("--source", type=Path, help="folder with the same weights for transformers; needs torch")
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--batch", type=int, default=32, help="pairs a call")
    parser.add_argument("--rounds", type=int, default=8, help=f"blocks of {BLOCK} calls of each")
    parser.add_argument("--callers", type=int, default=8, help="conversations asking at once")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of which pairs are drawn")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()

    pairs = [
        (row["premise"], row["hypothesis"]) for row in map(json.loads, given.pairs.read_text("utf-8").splitlines())
    ]
    rng = random.Random(given.seed)
    config = EngineConfig(device="cpu", threads=given.threads)
    classifier = PairClassifier.load(given.model, config=config, max_cached=0)
    judges: dict[str, Judge] = {"npc-engine": classifier.classify}
    if given.source:
        judges["transformers"] = _transformers(given.source, given.threads)
    mixed = [rng.sample(pairs, given.batch) for _ in range(given.rounds * BLOCK)]
    premises = sorted({premise for premise, _ in pairs})
    one_sentence = [[(premise, rng.choice(pairs)[1]) for premise in rng.sample(premises, given.batch)] for _ in mixed]
    one_sentence = [[(premise, batch[0][1]) for premise, _ in batch] for batch in one_sentence]
    figures = {
        "mixed_pairs": _in_turns(judges, mixed),
        "one_sentence": _in_turns(judges, one_sentence),
        "callers": _callers(classifier, one_sentence, given.callers),
        "cached_ms": _cached(given.model, config, one_sentence[0]),
        "batch_neighbours": _neighbours(classifier, pairs),
    }
    if "transformers" in judges:
        ours, theirs = (np.concatenate([np.asarray(judges[name](batch)) for batch in mixed[:8]]) for name in judges)
        figures["against_float32"] = {
            "same_label": float((ours.argmax(1) == theirs.argmax(1)).mean()),
            "max_difference": float(np.abs(ours - theirs).max()),
        }
    report = {"batch": given.batch, "threads": given.threads, "machine": platform.machine(), **figures}
    _print(report)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _transformers(folder: Path, threads: int) -> Judge:
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    torch.set_num_threads(threads)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")

    def judge(pairs: Sequence[Pair]) -> Any:
        texts = [premise for premise, _ in pairs], [hypothesis for _, hypothesis in pairs]
        inputs = tokenizer(*texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            return torch.softmax(model(**inputs).logits, dim=-1).numpy()

    return judge


def _in_turns(judges: dict[str, Judge], batches: Sequence[Sequence[Pair]]) -> dict[str, Any]:
    """Milliseconds a call, p50 and p95, and pairs a second of each judge; the ratio of the medians."""
    taken: dict[str, list[float]] = {name: [] for name in judges}
    for start in range(0, len(batches), BLOCK):
        for name, judge in judges.items():
            judge(batches[start])
            for batch in batches[start : start + BLOCK]:
                begun = time.perf_counter()
                judge(batch)
                taken[name].append(time.perf_counter() - begun)
    figures: dict[str, Any] = {
        name: {
            "p50_ms": statistics.median(times) * 1e3,
            "p95_ms": float(np.quantile(times, 0.95)) * 1e3,
            "pairs_per_s": len(batches[0]) / statistics.median(times),
        }
        for name, times in taken.items()
    }
    if len(judges) == 2:
        ours, theirs = (figures[name]["p50_ms"] for name in judges)
        figures["ratio"] = theirs / ours
    return figures


def _callers(classifier: PairClassifier, batches: Sequence[Sequence[Pair]], num_callers: int) -> dict[str, float]:
    """Milliseconds until all of several conversations have 4 pairs judged: together, and one after another."""
    asked = [list(batches[index % len(batches)][:4]) for index in range(num_callers)]

    async def together() -> None:
        await asyncio.gather(*(classifier.aclassify(pairs) for pairs in asked))

    async def in_turn() -> None:
        for pairs in asked:
            await classifier.aclassify(pairs)

    def median_ms(run: Callable[[], Any]) -> float:
        times = []
        for _ in range(12):
            begun = time.perf_counter()
            asyncio.run(run())
            times.append(time.perf_counter() - begun)
        return statistics.median(times[2:]) * 1e3

    return {"together_ms": median_ms(together), "in_turn_ms": median_ms(in_turn)}


def _cached(folder: Path, config: EngineConfig, batch: Sequence[Pair]) -> float:
    """Milliseconds of a call whose pairs all came before."""
    classifier = PairClassifier.load(folder, config=config)
    classifier.classify(batch)
    begun = time.perf_counter()
    for _ in range(50):
        classifier.classify(batch)
    return (time.perf_counter() - begun) / 50 * 1e3


def _neighbours(classifier: PairClassifier, pairs: Sequence[Pair]) -> dict[str, float]:
    """How much a pair's probabilities depend on what is in its batch."""
    chosen = pairs[:64]
    together = classifier.classify(chosen)
    alone = np.concatenate([classifier.classify([pair]) for pair in chosen])
    return {
        "same_label": float((together.argmax(1) == alone.argmax(1)).mean()),
        "max_difference": float(np.abs(together - alone).max()),
    }


def _print(report: dict[str, Any]) -> None:
    print(f"{report['batch']} pairs a call, {report['threads']} threads")
    for what in ("mixed_pairs", "one_sentence"):
        for name, each in report[what].items():
            if name == "ratio":
                print(f"{what:14} ratio         {each:8.2f}")
            else:
                print(
                    f"{what:14} {name:12} p50 {each['p50_ms']:7.1f} ms  p95 {each['p95_ms']:7.1f} ms  "
                    f"{each['pairs_per_s']:7.0f} pairs/s"
                )
    for what in ("callers", "cached_ms", "batch_neighbours", "against_float32"):
        if what in report:
            print(f"{what:14} {json.dumps(report[what])}")


if __name__ == "__main__":
    sys.exit(main())
