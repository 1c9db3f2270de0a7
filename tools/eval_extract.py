"""How well `npc-engine sheet extract` does: how many facts it finds, how many are supported, and what it misses.

python tools/eval_extract.py --texts FOLDER [--keys tests/data/extract] [--models] [--json FILE] [--show]

A row a text of the folder (`*.txt`). `supported` is the share of facts whose every content word, number and name stands
in the sentence that the fact is from; endings may differ. `entailed` is the share that the
NLI model finds in its sentence (`--models`, where one is installed; without the filter that drops what it does not
find). `readable` is the share of at most 25 words. For texts with a key (`tests/data/extract/*.yaml`): `recall` is the
share of the key's facts that some proposal says, `precision` the share of proposals that say a fact of the key. A key
lists what a careful reader would; a proposal that is right and not in the key counts against precision.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML

from npc_engine.cli.sheet_models import load_models
from npc_engine.config import load_config
from npc_engine.errors import NpcEngineError
from npc_engine.sheets.extract.changes import ENTAILMENT, SUPPORTED
from npc_engine.sheets.extract.run import Extraction, extract
from npc_engine.sheets.lint.models import NO_MODELS, Models
from npc_engine.sheets.lint.words import numbers, stems
from npc_engine.sheets.words import stem, words

READABLE_WORDS = 25
# What rewriting adds: words of the templates of attributes.
_ADDED = frozenset({"old", "year", stem("myself")})


def is_supported(text: str, evidence: str) -> bool:
    """Whether every content word, number and name of a fact stands in its sentence."""
    said = {stem(word) for word in words(evidence)}
    names = re.findall(r"(?<=\s)[A-Z][\w’-]+", text)
    return (
        stems(text) - _ADDED <= said
        and set(numbers(text)) <= set(numbers(evidence))
        and all(name.removesuffix("’s") in evidence for name in names if name != "I")
    )


def says(text: str, groups: list[list[str]]) -> bool:
    """Whether a text has a stem of every group."""
    said = {stem(word) for word in words(text)}
    return all(any(stem(option.casefold()) in said for option in group) for group in groups)


def row(path: Path, found: Extraction, models: Models, key: dict[str, object] | None) -> dict[str, object]:
    """What is measured of one text."""
    facts = [one.claim for one in found.proposals]
    count = max(1, len(facts))
    measured: dict[str, object] = {
        "text": path.name,
        "character": found.character.name,
        "sentences": found.num_sentences,
        "facts": len(facts),
        "people": len(found.people),
        "supported": sum(is_supported(one.text, one.evidence) for one in facts) / count,
        "readable": sum(len(one.text.split()) <= READABLE_WORDS for one in facts) / count,
    }
    if models.nli is not None and facts:
        scores = models.nli.scores_now([(one.evidence, one.plain) for one in facts])
        measured["entailed"] = float((scores[:, ENTAILMENT] >= SUPPORTED).mean())
    if key is not None:
        listed = key["facts"]
        assert isinstance(listed, list)
        hit = [any(says(one.text, each["match"]) for one in facts) for each in listed]
        measured["recall"] = sum(hit) / len(listed)
        measured["precision"] = sum(any(says(one.text, each["match"]) for each in listed) for one in facts) / count
        measured["missed"] = [each["says"] for each, is_hit in zip(listed, hit, strict=True) if not is_hit]
        measured["beyond"] = [one.text for one in facts if not any(says(one.text, each["match"]) for each in listed)]
    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--keys", type=Path, default=Path(__file__).parents[1] / "tests" / "data" / "extract")
    parser.add_argument("--models", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    loaded = load_models(load_config(), counter=False) if given.models else None
    models = loaded.models if loaded else NO_MODELS
    for note in loaded.notes if loaded else ():
        print(f"note: {note}")
    keys = {key["text"]: key for path in given.keys.glob("*.yaml") if (key := YAML(typ="safe").load(path))}
    rows = []
    for path in sorted(given.texts.glob("*.txt")):
        key = keys.get(path.name)
        try:
            found = extract([path], name=(key or {}).get("name"), models=replace(models, nli=None))
        except NpcEngineError as error:
            print(f"{path.name}: {error.code}: {error.message}")
            continue
        rows.append(row(path, found, models, key))
        _print(rows[-1], found, show=given.show)
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _print(measured: dict[str, object], found: Extraction, *, show: bool) -> None:
    figures = [f"{name} {value:.2f}" for name, value in measured.items() if isinstance(value, float)]
    print(
        f"{measured['text']}: {measured['sentences']} sentences, {measured['facts']} facts, "
        f"{measured['people']} people; {', '.join(figures)}"
    )
    for name in ("missed", "beyond"):
        listed = measured.get(name, [])
        assert isinstance(listed, list)
        for text in listed if show else []:
            print(f"    {name}: {text}")
    for one in found.proposals if show else ():
        if not is_supported(one.claim.text, one.claim.evidence):
            print(f"    unsupported: {one.claim.text}\n        {one.claim.evidence}")


if __name__ == "__main__":
    main()
