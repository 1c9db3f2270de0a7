"""Measures how well lines that leave the talk are told from talk: false alarms and hits, by kind and family.

python -m tools.eval_routes                                    the shipped questions and sheets; each family held out
python -m tools.eval_routes --attacks FILE --talk FILE         and further lines, one a line

False alarms: the questions and the player's lines of the shipped sheets, and the lines of `--talk`. Hits: of each
family its examples, told without that family (no examples, words or patterns of it); and the lines of `--attacks`. A
premise that answers keeps a line from being outside in a talk; that is not counted here. Intervals: Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from npc_engine.config import EngineConfig
from npc_engine.dialogue.straying import StrayDetector, StrayExamples, Straying, families, sentences_of
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.models.installed import find_installed
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.questions import load_questions


def main() -> None:
    """Print the table; write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", type=Path, action="append", default=[], help="lines that are attacks")
    parser.add_argument("--talk", type=Path, action="append", default=[], help="lines that are talk")
    parser.add_argument("--show", action="store_true", help="print every false alarm and miss")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    config = EngineConfig()
    encoder = SentenceEncoder.load(find_installed(config.encoder, config.cache_dir).path, config=config)
    sheets = load_sheets((shipped_sheets_dir(),))
    shared = StrayExamples(encoder)
    detectors = {name: StrayDetector(sheet, shared) for name, sheet in sheets.items()}
    rows: dict[str, dict[str, float]] = {}

    def tell(detector: StrayDetector, line: str) -> Straying | None:
        return detector.by_words(line) or detector.by_meaning(encoder.embed([line, *sentences_of(line)]))

    def count(name: str, results: Iterable[tuple[str, Straying | None]], *, wanted: str | None) -> None:
        """Add a row; `wanted` is the kind that counts as right, None where any finding is a false alarm."""
        told = list(results)
        good = [found is not None and (wanted is None or found.kind == wanted) for _, found in told]
        low, high = wilson(sum(good), len(good))
        rows[name] = {"lines": len(good), "found": sum(good), "low": low, "high": high}
        share = sum(good) / max(1, len(good))
        print(f"{name:38} {sum(good):5} of {len(good):5}  {share:6.1%}  [{low:.1%}, {high:.1%}]")
        if options.show:
            for (line, found), is_found in zip(told, good, strict=True):
                if is_found == (wanted is None):
                    print(f"    {line[:100]!r} {found}")

    print("false alarms")
    questions = [(name, q.question) for name in sheets for q in load_questions(_questions_of(name)).questions]
    count("shipped questions", ((line, tell(detectors[name], line)) for name, line in questions), wanted=None)
    lines = [(name, line) for name, sheet in sheets.items() for line in _player_lines(sheet)]
    count("player's lines of the sheets", ((line, tell(detectors[name], line)) for name, line in lines), wanted=None)
    first = next(iter(detectors.values()))
    for path in options.talk:
        count(f"talk: {path.name}", ((line, tell(first, line)) for line in _read(path)), wanted=None)
    print("hits, each family told by the others alone")
    totals: Counter[str] = Counter()
    for family in families():
        others = StrayExamples(encoder, [one for one in families() if one is not family])
        detector = StrayDetector(sheets["hesta"], others)
        told = [(line, tell(detector, line)) for line in family.examples]
        count(f"{family.kind}.{family.name}", told, wanted=family.kind)
        totals[family.kind] += sum(found is not None and found.kind == family.kind for _, found in told)
    for path in options.attacks:
        count(f"attacks: {path.name}", ((line, tell(first, line)) for line in _read(path)), wanted="attack")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def wilson(num: int, total: int, *, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share. Source: Wilson 1927."""
    if total == 0:
        return 0.0, 1.0
    share, factor = num / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / factor
    half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5 / factor
    return max(0.0, middle - half), min(1.0, middle + half)


def _questions_of(name: str) -> Path:
    return shipped_sheets_dir() / "questions" / f"{name}.yaml"


def _player_lines(sheet: object) -> list[str]:
    voice, actions, topics, tests = (getattr(sheet, one) for one in ("voice", "actions", "unknown_topics", "tests"))
    return [
        *(example.player for example in voice.examples if example.player),
        *(line for one in (*actions, *topics) for line in one.examples),
        *(line for test in tests for line in test.lines),
    ]


def _read(path: Path) -> list[str]:
    """Lines of a text file, or the strings of a JSON list."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return [line for line in json.loads(text) if isinstance(line, str)]
    return [line for line in text.splitlines() if line.strip()]


if __name__ == "__main__":
    main()
