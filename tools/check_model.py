"""Compare a built decoder with the plain numpy reference: `python -m tools.check_model NAME_OR_FOLDER [--source FILE]`.

Two questions. Does the graph compute what its own weights say? Greedy tokens against the reference with the same
dequantized weights: once with the products' activations left float (the graph's wiring and nothing else), once as
shipped (activations rounded to int8 inside the products, where a near-tie may fall the other way), and once with the
prompt read by the prefill graph, where the folder has one. And, with `--source`, what does quantizing cost? The KL
divergence of the graphs' next-token distributions from the unquantized model's, over a fixed text, in nats.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from npc_engine.config import EngineConfig
from npc_engine.inference.decoder import Decoder
from npc_engine.models.build import open_weights
from npc_engine.models.installed import find_installed
from npc_engine.models.tokenizer import ChatTokenizer
from tools.reference_decoder import FolderWeights, ReferenceDecoder, SourceWeights

NUM_TOKENS = 64
CHUNK_TOKENS = 4
SYSTEM = "You are a blacksmith in a small village."
PROMPTS = (
    "Who are you?",
    "What do you sell, and what does a sword cost?",
    "Tell me about the road to the north.",
    "Write one sentence about the sea.",
    "What is 12 plus 30?",
)
TEXT = """The forge had been cold for three days when the rider came down from the pass. Mira set aside her ledger and \
wiped her hands. "You look half frozen," she said. "Sit by the wall; it keeps the heat." The rider shook his head. \
"No time. The garrison at Harrow needs forty spearheads before the new moon, and they will pay in silver, not promises."

Forty spearheads in nine days: she counted the bars in the rack, the charcoal in the shed, and the two boys who could \
be trusted with a hammer. It could be done, if nobody slept much and the river did not flood again. In 1312 her \
grandfather had made twice as many in a single week, or so the story went; he had also claimed to have shod the king's \
own horse.

"Half now," she said, "and half when your sergeant signs for them. If he signs for thirty, I am paid for thirty."

He laughed at that, for the first time. "They told me you were difficult. They did not say you were fair."

Steel is iron with a little carbon in it, usually between 0.2 and 2 percent by weight. Too little and the edge folds; \
too much and it shatters. A smith judges the temperature by colour: dull red is about 700 degrees Celsius, bright \
orange is near 1,000, and at a yellow heat the metal can be welded. The work is then quenched in oil or brine, and \
drawn back in a slow fire until a straw tint runs along the blade."""


@dataclass(frozen=True)
class Divergence:
    """KL(reference || graph) over the positions of a text, nats; `top1` is how often both put the same token first."""

    mean: float
    p95: float
    largest: float
    top1: float


def load_decoder(folder: Path, *, prefill_graph: bool = False) -> Decoder:
    return Decoder.load(
        folder,
        config=EngineConfig(device="cpu", max_context_tokens=1024, num_slots=len(PROMPTS), prefill_graph=prefill_graph),
    )


@contextmanager
def float_activations(folder: Path) -> Iterator[Path]:
    """A copy of the decode graph whose products keep their activations float32 (accuracy level 1)."""
    model = onnx.load(str(folder / "decoder.onnx"), load_external_data=False)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = 1
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for name in ("decoder.onnx.data", "decoder.json"):
            shutil.copyfile(folder / name, copy / name)
        (copy / "decoder.onnx").write_bytes(model.SerializeToString())
        yield copy


def greedy(decoder: Decoder, prompts: list[list[int]], num_tokens: int) -> NDArray[np.int64]:
    """The most likely continuation of each prompt, (prompts, num_tokens): a slot each, decoded side by side."""
    first: list[int] = []
    for slot, prompt in enumerate(prompts):
        for start in range(0, len(prompt), decoder.max_chunk_tokens):
            chunk = prompt[start : start + decoder.max_chunk_tokens]
            logits = decoder.prefill(slot, chunk, num_cached_tokens=start)
        first.append(int(logits.top_ids[0, 0]))
    steps = [first]
    while len(steps) < num_tokens:
        lengths = [len(prompt) + len(steps) - 1 for prompt in prompts]
        steps.append(decoder.decode(0, steps[-1], num_cached_tokens=lengths).top_ids[:, 0].tolist())
    return np.array(steps).T


def compare_greedy(
    decoder: Decoder, reference: ReferenceDecoder, prompts: list[list[int]], *, num_tokens: int = NUM_TOKENS
) -> list[tuple[int, float | None]]:
    """For each prompt, how many leading tokens are the reference's too, and its gap where one is not.

    The reference reads the graph's tokens at once: as long as its best token is the graph's next one, its own greedy
    tokens are the same. The gap is by how many logits its best token leads the graph's: small is a near-tie.
    """
    rows: list[tuple[int, float | None]] = []
    for prompt, tokens in zip(prompts, greedy(decoder, prompts, num_tokens), strict=True):
        logits = reference.forward([*prompt, *tokens[:-1].tolist()])[len(prompt) - 1 :]
        gaps = logits.max(axis=1) - logits[np.arange(num_tokens), tokens]
        differing = np.flatnonzero(logits.argmax(axis=1) != tokens)
        rows.append((int(differing[0]), float(gaps[differing[0]])) if len(differing) else (num_tokens, None))
    return rows


def graph_logits(decoder: Decoder, ids: list[int]) -> NDArray[np.float32]:
    """Logits after each token, (tokens, vocab_size): one decode step a token."""
    steps = (decoder.decode(0, [token], num_cached_tokens=[i]) for i, token in enumerate(ids))
    return np.concatenate([step.full.copy() for step in steps])


def chunk_ends(num_tokens: int) -> list[int]:
    """Positions at which `prefill_logits` has a row."""
    return list(range(CHUNK_TOKENS - 1, num_tokens, CHUNK_TOKENS))


def prefill_logits(decoder: Decoder, ids: list[int]) -> NDArray[np.float32]:
    """Logits at the chunk ends of a text read as a prompt, (chunks, vocab_size)."""
    starts = [end + 1 - CHUNK_TOKENS for end in chunk_ends(len(ids))]
    chunks = (decoder.prefill(0, ids[i : i + CHUNK_TOKENS], num_cached_tokens=i) for i in starts)
    return np.concatenate([chunk.full.copy() for chunk in chunks])


def divergence(reference: NDArray[np.float32], graph: NDArray[np.float32]) -> Divergence:
    kl = np.array([_kl(p, q) for p, q in zip(reference, graph, strict=True)])
    same = reference.argmax(axis=1) == graph.argmax(axis=1)
    return Divergence(float(kl.mean()), float(np.percentile(kl, 95)), float(kl.max()), float(same.mean()))


def _kl(p_logits: NDArray[np.float32], q_logits: NDArray[np.float32]) -> float:
    log_p, log_q = (_log_softmax(logits.astype(np.float64)) for logits in (p_logits, q_logits))
    return float((np.exp(log_p) * (log_p - log_q)).sum())


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def chat_prompts(tokenizer: ChatTokenizer) -> list[list[int]]:
    opening = tokenizer.encode_message("system", SYSTEM)
    closing = tokenizer.generation_prompt_ids()
    return [[*opening, *tokenizer.encode_message("user", prompt), *closing] for prompt in PROMPTS]


def _greedy_table(folder: Path, tokenizer: ChatTokenizer, console: Console) -> None:
    prompts = chat_prompts(tokenizer)
    reference = ReferenceDecoder(FolderWeights(folder))
    with float_activations(folder) as copy:
        exact = compare_greedy(load_decoder(copy), reference, prompts)
    shipped = compare_greedy(load_decoder(folder), reference, prompts)
    prefilled = compare_greedy(load_decoder(folder, prefill_graph=True), reference, prompts)
    table = Table(
        "prompt",
        "float activations",
        "decode graph",
        "prefill and decode graphs",
        title=f"first {NUM_TOKENS} greedy tokens, equal ones",
    )
    for prompt, *cells in zip(PROMPTS, exact, shipped, prefilled, strict=True):
        table.add_row(prompt, *(f"{n}" if gap is None else f"{n}, then a gap of {gap:.3f}" for n, gap in cells))
    console.print(table)


def _divergence_table(folder: Path, source: Path, tokenizer: ChatTokenizer, console: Console) -> None:
    ids = tokenizer.encode(TEXT)
    decoder = load_decoder(folder)
    reference = ReferenceDecoder(SourceWeights(open_weights(source), decoder.spec))
    expected = reference.forward(ids)
    table = Table("graph", "mean", "p95", "max", "same top token", title=f"KL divergence, nats, {len(ids)} positions")

    def add(name: str, candidate: Decoder) -> None:
        row = divergence(expected, graph_logits(candidate, ids))
        table.add_row(name, f"{row.mean:.4f}", f"{row.p95:.4f}", f"{row.largest:.4f}", f"{row.top1:.1%}")

    add("decode graph", decoder)
    with float_activations(folder) as copy:
        add("float activations", load_decoder(copy))
    prefill = load_decoder(folder, prefill_graph=True)
    if not prefill.prefill_reason:
        row = divergence(expected[chunk_ends(len(ids))], prefill_logits(prefill, ids))
        table.add_row(
            f"prefill graph, every {CHUNK_TOKENS}th position",
            f"{row.mean:.4f}",
            f"{row.p95:.4f}",
            f"{row.largest:.4f}",
            f"{row.top1:.1%}",
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="an installed model's name, or a built model's folder")
    parser.add_argument("--source", type=Path, help="the file it was built from: adds the KL divergence")
    parser.add_argument("--skip-greedy", action="store_true", help="leave the greedy comparison out")
    arguments = parser.parse_args()
    folder = Path(arguments.model)
    if not folder.is_dir():
        folder = find_installed(arguments.model, EngineConfig().cache_dir).path
    tokenizer = ChatTokenizer.load(folder)
    console = Console()
    if not arguments.skip_greedy:
        _greedy_table(folder, tokenizer, console)
    if arguments.source:
        _divergence_table(folder, arguments.source, tokenizer, console)


if __name__ == "__main__":
    main()
