"""How long `npc-engine sheet lint` takes, and how that grows with the number of facts.

python tools/bench_lint.py [--facts 50 500] [--repeat 3] [--json FILE]

Sheets are made: facts of the kind a shop keeps, all different, a tenth under conditions, five secrets. Each part is
timed alone: reading the file, the rules by words, the rules with the sentence encoder where it is installed, and with
an NLI model where one is installed. Median of the repeats; the models are loaded before. Seconds are the processor's,
all threads together, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from npc_engine.cli.sheet_models import load_models
from npc_engine.config import load_config
from npc_engine.sheets.lint.models import NO_MODELS, Models
from npc_engine.sheets.lint.rules import lint
from npc_engine.sheets.lint.subject import Subject
from npc_engine.sheets.templates import template_path

_THINGS = (
    "anvil barrel candle drum easel flute gourd hammer inkwell jar kettle lantern mirror needle oar plough quill rope"
)
_KINDS = "oak iron copper green tall narrow painted broken royal northern silent heavy folding twisted borrowed spare"
_PLACES = (
    "by the well|under the stairs|in the loft|behind the mill|near the gate|on the pier|at the old wall|in my cart"
)
_SAYS = (
    "I charge {number} crowns for the {kind} {thing}.",
    "The {kind} {thing} stands {place}.",
    "I have had the {kind} {thing} for {number} years.",
    "My cousin made the {kind} {thing} out of scrap {place}.",
    "Nobody may touch the {kind} {thing} {place}.",
)


def sheet_text(num_facts: int, seed: int = 1) -> str:
    """A sheet with so many facts of its own."""
    rng = random.Random(seed)
    lines = template_path("guard").read_text(encoding="utf-8").split("\n")
    begin, end = lines.index("facts:") + 1, lines.index("unknown_topics:")
    facts: list[str] = []
    pairs = [(kind, thing) for kind in _KINDS.split() for thing in _THINGS.split()]
    for index in range(num_facts):
        kind, thing = pairs[index % len(pairs)]
        says = _SAYS[(index // len(pairs) + index) % len(_SAYS)]
        text = says.format(number=rng.randint(14, 900), kind=kind, thing=thing, place=rng.choice(_PLACES.split("|")))
        facts += [f"  - id: fact-{index}", f"    text: {text}", f"    tags: [{thing}, {kind}]"]
        if index % 10 == 0:
            facts.append(f"    when: trust >= {rng.randint(1, 90)}")
            facts += ["    secret: true"] * (index < 50)
    tests = lines.index("tests:")
    return "\n".join([*lines[:begin], *facts, "", *lines[end:tests]])


def seconds(work: object, repeat: int) -> float:
    """Median processor seconds of calling something."""
    assert callable(work)
    times = []
    for _ in range(repeat):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    loaded = load_models(load_config())
    print("\n".join(f"note: {note}" for note in loaded.notes))
    encoder = loaded.models.encoder
    rows = []
    for num_facts in given.facts:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sheet.yaml"
            path.write_text(sheet_text(num_facts), encoding="utf-8")
            subject = Subject(path)
            row = {
                "facts": num_facts,
                "read_s": seconds(lambda path=path: Subject(path), given.repeat),
                "words_s": seconds(lambda subject=subject: lint(subject, NO_MODELS), given.repeat),
                "findings": len(lint(subject, NO_MODELS)),
            }
            if encoder is not None:
                # A new list each time, or the encoder's cache would answer.
                times = [_with_encoder(encoder, num_facts, seed, Path(folder)) for seed in range(2, 2 + given.repeat)]
                row["encoder_s"] = statistics.median(times)
            if loaded.models.nli is not None:
                row["nli_s"] = seconds(lambda subject=subject: lint(subject, loaded.models), 1)
            rows.append(row)
    keys = list(rows[0])
    print("| " + " | ".join(keys) + " |")
    for row in rows:
        print(
            "| "
            + " | ".join(f"{row[key]:.2f}" if isinstance(row[key], float) else str(row[key]) for key in keys)
            + " |"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _with_encoder(encoder: object, num_facts: int, seed: int, folder: Path) -> float:
    path = folder / f"seed-{seed}.yaml"
    path.write_text(sheet_text(num_facts, seed), encoding="utf-8")
    subject = Subject(path)
    models = Models(encoder=encoder)  # type: ignore[arg-type]
    return seconds(lambda: lint(subject, models), 1)


if __name__ == "__main__":
    main()
