"""Train, measure and export the classifier that judges what a character says against its sheet.

python -m tools.train_nli train    --data DIR --base DIR --out DIR  train, calibrate, export, measure: the one command
python -m tools.train_nli export   --data DIR --run DIR --out DIR   export and calibrate the best weights of a run
python -m tools.train_nli evaluate --data DIR --model DIR           measure any classifier folder
python -m tools.train_nli thresholds --data DIR --model DIR --encoder DIR --sheets DIR   fit the judge's thresholds
python -m tools.train_nli generate --data DIR --out FILE            write the generated pairs, to be read

DIR of --data is the folder that holds `nli/`, `light_repo/` and `spc/`; --base is a MiniLM-like encoder (config.json,
model.safetensors, tokenizer.json). A run that is interrupted goes on where it stopped with the same command.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

# Threads that sleep at a barrier instead of spinning: on two cores under load 21.5 pairs/s instead of 5.3 (measured).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TextColumn, TimeRemainingColumn

from npc_engine.config import EngineConfig
from npc_engine.guard.verdict import Thresholds
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.loader import load_sheets
from tools.nli import curriculum, data, thresholds
from tools.nli.baselines import Cosine, HypothesisOnly
from tools.nli.evaluate import Score, evaluate, folder_score, held_out_sets, pair_file, table, test_sets
from tools.nli.export import export, reference_score
from tools.nli.pairs import Pair, write_pairs
from tools.nli.train import Progress, Recipe, train

console = Console(stderr=True)


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "train":
        run_train(options)
    elif options.command == "export":
        run_export(options, options.run)
    elif options.command == "evaluate":
        run_evaluate(options)
    elif options.command == "thresholds":
        run_thresholds(options)
    else:
        run_generate(options)
    return 0


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = main_parser.add_subparsers(dest="command", required=True)
    defaults = Recipe(num_steps=12_000)
    for name in ("train", "export", "evaluate", "thresholds", "generate"):
        command = commands.add_parser(name)
        command.add_argument("--data", type=Path, required=True, help="folder that holds nli/, light_repo/ and spc/")
        command.add_argument("--seed", type=int, default=defaults.seed)
        if name not in ("evaluate", "thresholds"):
            command.add_argument("--out", type=Path, required=True, help="where the result goes")
        if name == "train":
            command.add_argument("--base", type=Path, required=True, help="folder of the encoder to start from")
            command.add_argument("--steps", type=int, default=defaults.num_steps, help="optimizer steps, 32 pairs each")
            command.add_argument("--batch", type=int, default=defaults.batch_size)
            command.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
            command.add_argument("--threads", type=int, default=defaults.num_threads)
        if name == "export":
            command.add_argument("--run", type=Path, required=True, help="the --out of a training run")
        if name in ("evaluate", "thresholds"):
            command.add_argument(
                "--model", type=Path, required=True, help="classifier.onnx, classifier.json, tokenizer.json"
            )
        if name == "thresholds":
            command.add_argument("--encoder", type=Path, required=True, help="an encoder folder: finds what is near")
            command.add_argument("--sheets", type=Path, required=True, help="sheets that hold together")
            command.add_argument("--without", nargs="*", default=[], help="ids of sheets that play no part")
        if name == "evaluate":
            command.add_argument("--run", type=Path, help="measure the float32 weights of this run beside the folder")
            command.add_argument("--encoder", type=Path, help="an encoder folder, for the cosine baseline")
            command.add_argument("--json", type=Path, help="write the figures here")
        if name in ("train", "evaluate"):
            command.add_argument(
                "--pairs", type=Path, action="append", default=[], help="a further test set, JSON Lines"
            )
            command.add_argument("--limit", type=int, default=1000, help="pairs of each set, 0 for all")
    return main_parser


def read_all(options: argparse.Namespace) -> tuple[dict[str, list[Pair]], dict[str, list[Pair]]]:
    split = data.load(options.data, seed=options.seed)
    console.print(f"left out: {split.dropped}")
    return curriculum.with_generated(split, options.data, seed=options.seed)


def run_train(options: argparse.Namespace) -> None:
    pairs, held_out = read_all(options)
    recipe = Recipe(
        num_steps=options.steps,
        batch_size=options.batch,
        learning_rate=options.learning_rate,
        seed=options.seed,
        num_threads=options.threads,
    )
    with Bar(
        *Bar.get_default_columns()[:3], TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console
    ) as bar:
        task = bar.add_task("training", total=options.steps, note="")

        def report(progress: Progress, loss: float) -> None:
            rate = progress.num_pairs / max(progress.seconds, 1e-9)
            bar.update(task, completed=progress.step, note=f"loss {loss:.3f}, {rate:.0f} pairs/s")

        train(
            options.base,
            options.out,
            pairs=curriculum.parts(pairs),
            held_out=held_out,
            shares=curriculum.shares,
            recipe=recipe,
            report=report,
        )
    model = options.out / "classifier"
    export(options.out / "best", model, calibration=held_out, seed=options.seed)
    sets = [*test_sets(options.data, limit=options.limit, seed=options.seed), *map(pair_file, options.pairs)]
    console.print(table(evaluate(folder_score(model), sets, on_set=_say), {}))


def run_export(options: argparse.Namespace, run: Path) -> None:
    _, held_out = read_all(options)
    spec = export(run / "best", options.out, calibration=held_out, seed=options.seed)
    size = (options.out / "classifier.onnx").stat().st_size
    console.print(f"{options.out}: temperature {spec.temperature:.3f}, {size / 1e6:.1f} MB")


def run_evaluate(options: argparse.Namespace) -> None:
    pairs, held_out = read_all(options)
    sets = [*test_sets(options.data, limit=options.limit, seed=options.seed), *map(pair_file, options.pairs)]
    sets += held_out_sets(held_out, limit=min(options.limit, 300), seed=options.seed)
    fitted = curriculum.sample(pairs, num_pairs=30_000, seed=options.seed)
    columns: dict[str, Score] = {"hypothesis only": HypothesisOnly(seed=options.seed).fit(fitted)}
    if options.encoder is not None:
        columns["cosine"] = Cosine(options.encoder).fit(fitted[:4000])
    if options.run is not None:
        columns["float32"] = reference_score(options.run / "best")
    figures = evaluate(folder_score(options.model), sets, on_set=_say)
    others = {name: evaluate(score, sets, on_set=_say) for name, score in columns.items()}
    print(table(figures, others))
    if options.json is not None:
        found = {"model": figures, **others}
        options.json.write_text(
            json.dumps({name: [asdict(one) for one in some] for name, some in found.items()}, indent=1) + "\n",
            encoding="utf-8",
        )


def run_thresholds(options: argparse.Namespace) -> None:
    _, held_out = read_all(options)
    sheets = [sheet for sheet in load_sheets([options.sheets]).values() if sheet.id not in options.without]
    encoder = SentenceEncoder.load(options.encoder, config=EngineConfig(device="cpu"))
    score = folder_score(options.model)
    limits = Thresholds()
    weighed = thresholds.contradictions(score, sheets, encoder, held_out, seed=options.seed)
    for share in (0.02, 0.03, 0.05):
        print(thresholds.nearness_table(weighed, limits=limits, max_false_alarm_share=share) + "\n")
    found = {
        "contradiction": (weighed.scores(limits), 0.03),
        "secret": (thresholds.secrets(score, sheets, encoder, seed=options.seed), 0.01),
        "support": (thresholds.support(score, held_out, seed=options.seed), 0.05),
    }
    console.print(f"sheets: {', '.join(sheet.id for sheet in sheets)}")
    for name, (scores, share) in found.items():
        print(thresholds.table(name, scores, max_false_alarm_share=share) + "\n")


def run_generate(options: argparse.Namespace) -> None:
    split = data.load(options.data, seed=options.seed)
    made = curriculum.generate(split, options.data, seed=options.seed)
    console.print(f"{write_pairs(options.out, [pair for pairs in made.values() for pair in pairs])} pairs")


def _say(name: str) -> None:
    console.print(f"measuring {name}", style="dim")


if __name__ == "__main__":
    sys.exit(main())
