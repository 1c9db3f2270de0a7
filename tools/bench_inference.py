r"""The inference core beside llama.cpp and onnxruntime-genai, alone, in a crowd, and as it grows.

    python tools/bench_inference.py --model tiny --peer-python peers/bin/python [--json FILE] [--plots FOLDER]

Every round lets ours and each peer measure once, in changing order; what counts is the ratio of the medians. A peer
runs in a process of its own Python, as onnxruntime-genai needs a package that must never lie beside onnxruntime-gpu:

    python -m venv peers
    CMAKE_ARGS=-DGGML_NATIVE=ON peers/bin/pip install --no-binary llama-cpp-python \
        llama-cpp-python==0.3.36 onnxruntime-genai==0.18.*

A peer that cannot run has a column that says why; the run goes on. llama.cpp reads the file that the model was built
from, which `npc-engine models pull NAME --keep-downloads` leaves in the cache. docs/benchmarks/README.md says how
onnxruntime-genai's folder is made.

Exit codes: 0 measured, 1 a target missed under --strict, 2 wrong arguments or no such model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from npc_engine.config import EngineConfig, default_threads
from npc_engine.errors import NpcEngineError
from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.cache import ModelCache
from npc_engine.models.catalogue import load_catalogue
from npc_engine.models.installed import find_installed
from npc_engine.models.tokenizer import ChatTokenizer
from tools.inference_bench import breakdown, crowd, growth, lifecycle, versus
from tools.inference_bench.bench import Bench, Findings, Table
from tools.inference_bench.duel import Row
from tools.inference_bench.peer import Peer, PeerFailed, llama_cpp, onnxruntime_genai
from tools.inference_bench.plan import LARGE, LARGE_MODEL_BYTES, QUICK, SMALL, Plan
from tools.inference_bench.report import markdown, show, to_json
from tools.inference_bench.texts import Texts

SECTIONS: dict[str, Callable[[Bench], Findings]] = {
    "decode": versus.decode,
    "prefill": versus.prefill,
    "ttft": versus.ttft,
    "walk": versus.walk,
    "growth": growth.growth,
    "cancel": lifecycle.cancel,
    "conversations": crowd.conversations,
    "profile": breakdown.profile,
}
# Of the tables in a file or a pipe.
WIDTH = 180
# Beyond these the peers are closed: their memory is not ours to measure.
WITH_PEERS = ("decode", "prefill", "ttft", "walk", "growth")


class Unusable(Exception):
    """What was asked cannot be measured; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON and the plots."""
    options = parse(arguments)
    errors = Console(stderr=True)
    try:
        folder = model_folder(options.model)
        with ExitStack() as closing:
            bench, about = prepare(options, folder, errors, closing)
            rows, tables = measure(bench, options.sections)
    except (Unusable, NpcEngineError) as error:
        errors.print(f"bench_inference: {error}", style="red", markup=False, highlight=False)
        return 2
    report = to_json(bench, options.model, rows, tables, about)
    show(Console(width=None if sys.stdout.isatty() else WIDTH), rows, tables, seed=bench.seed)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        text = markdown(Path(options.model).name, bench, rows, tables)
        options.markdown.write_text(text, encoding="utf-8")
    if options.plots:
        from tools.inference_bench.plots import plot_all

        for path in plot_all(options.plots, Path(options.model).name, rows, tables):
            errors.print(f"wrote {path}", markup=False)
    missed = [row for row in rows for target in row.targets if row.meets(target) is False]
    return 1 if options.strict and missed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="an installed model's name, or a model folder")
    parser.add_argument("--sections", type=_sections, default=tuple(SECTIONS), help=",".join(SECTIONS))
    parser.add_argument("--peer-python", type=Path, help="the Python that has the peers; without it there are none")
    parser.add_argument("--gguf", type=Path, help="llama.cpp's file; by default what the model was pulled from")
    parser.add_argument("--downloads", type=Path, help="cache folder that has kept downloads, if not the default one")
    parser.add_argument("--genai-model", type=Path, help="onnxruntime-genai's folder, as genai_export writes it")
    parser.add_argument("--threads", type=_positive, default=default_threads(), help="of ours and of each peer")
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds: does it work, not what is it")
    parser.add_argument("--repeats", type=_positive, help="interleaved rounds; by default as many as the plan says")
    parser.add_argument("--seed", type=int, default=0, help="of texts, orders and resampling")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--markdown", type=Path, help="where to write the tables for the documentation")
    parser.add_argument("--plots", type=Path, help="folder for the plots; needs the bench extra")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return parser.parse_args(arguments)


def model_folder(name: str) -> Path:
    """The folder of an installed model, or the folder itself.

    Raises:
        Unusable: There is neither.
    """
    if (Path(name) / "decoder.json").is_file():
        return Path(name)
    try:
        return find_installed(name, EngineConfig().cache_dir).path
    except NpcEngineError as error:
        raise Unusable(f"{error.message} {error.hint}") from error


def prepare(
    options: argparse.Namespace, folder: Path, errors: Console, closing: ExitStack
) -> tuple[Bench, dict[str, Any]]:
    """Everything that the sections need, with the peers started; they end with `closing`."""
    bench = Bench(
        folder=folder,
        spec=DecoderSpec.load(folder / "decoder.json"),
        texts=Texts(ChatTokenizer.load(folder), seed=options.seed),
        plan=choose_plan(options, folder),
        seed=options.seed,
        threads=options.threads,
        peers={},
        missing={},
        say=lambda text: errors.print(f"[dim]{text}[/dim]", highlight=False),
    )
    closing.callback(lambda: close_peers(bench))
    about: dict[str, Any] = {}
    if any(section in WITH_PEERS for section in options.sections):
        start_peers(options, bench)
        versus.tune_peers(bench)
        about = {name: peer.about for name, peer in bench.peers.items()}
    return bench, about


def choose_plan(options: argparse.Namespace, folder: Path) -> Plan:
    """By what was asked and by the size of the weights."""
    weights = sum(path.stat().st_size for path in folder.glob("decoder.onnx*"))
    plan = QUICK if options.quick else LARGE if weights >= LARGE_MODEL_BYTES else SMALL
    return replace(plan, repeats=options.repeats) if options.repeats else plan


def start_peers(options: argparse.Namespace, bench: Bench) -> None:
    """Start what can be; say of the rest why not."""
    starts: dict[str, Callable[[], Peer]] = {
        versus.LLAMA: lambda: llama_cpp(options.peer_python, find_gguf(options, bench.folder), threads=bench.threads),
        versus.GENAI: lambda: onnxruntime_genai(options.peer_python, _genai_folder(options), threads=bench.threads),
    }
    for name, start in starts.items():
        try:
            if options.peer_python is None:
                raise PeerFailed("no --peer-python")
            bench.peers[name] = start()
        except PeerFailed as error:
            bench.missing[name] = str(error)
            bench.say(f"{name}: {error}")


def find_gguf(options: argparse.Namespace, folder: Path) -> Path:
    """The file that the model was built from.

    Raises:
        PeerFailed: It is not there any more, or the model was not built from a GGUF file.
    """
    if options.gguf is not None:
        if not options.gguf.is_file():
            raise PeerFailed(f"no such file: {options.gguf}")
        return Path(options.gguf)
    cache = ModelCache(options.downloads or EngineConfig().cache_dir)
    entry = load_catalogue().find(folder.name)
    names = [file.name for file in entry.files if file.name.endswith(".gguf")] if entry else []
    found = [path for name in names if (path := cache.downloads(folder.name) / "files" / name).is_file()]
    if not found:
        raise PeerFailed(
            f"no GGUF file: npc-engine models pull {folder.name} --keep-downloads keeps it, or name it with --gguf"
        )
    return found[0]


def measure(bench: Bench, sections: Sequence[str]) -> tuple[list[Row], list[Table]]:
    """Run the sections, those with peers first."""
    rows: list[Row] = []
    tables: list[Table] = []
    for name, section in SECTIONS.items():
        if name in sections:
            if name not in WITH_PEERS:
                close_peers(bench)
            found = section(bench)
            rows += found.rows
            tables += found.tables
    return rows, tables


def close_peers(bench: Bench) -> None:
    """End every peer's process."""
    while bench.peers:
        bench.peers.popitem()[1].close()


def _genai_folder(options: argparse.Namespace) -> Path:
    folder = options.genai_model
    if folder is None or not (folder / "genai_config.json").is_file():
        raise PeerFailed("no --genai-model: its builder reads no quantized GGUF; see docs/benchmarks/README.md")
    return Path(folder)


def _sections(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in names if name not in SECTIONS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"there is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return names


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
