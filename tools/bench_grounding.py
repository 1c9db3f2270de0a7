"""How long grounding a line takes as a character knows more: `python tools/bench_grounding.py [--facts 50 500 5000]`.

A made-up trader with that many facts (every fifth under one of a few conditions), the installed sentence encoder, and
lines that ask for one fact each. Loading (each fact encoded once), encoding a line, and `Grounder.ground` are timed
apart; the turn pays the last two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npc_engine.config import load_config
from npc_engine.dialogue.grounding import Grounder, WorldEvent
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.models.installed import find_installed
from npc_engine.sheets.conditions import GameState, parse_condition
from npc_engine.sheets.fields import Fact
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.schema import CharacterSheet

_GOODS = ("sword", "axe", "bow", "kettle", "lantern", "rope", "saddle", "cloak", "boot", "candle", "barrel", "cheese")
_KINDS = ("old", "new", "red", "black", "heavy", "light", "foreign", "broken", "polished", "carved", "cheap", "fine")
_PLACES = (
    "mill",
    "bridge",
    "tower",
    "harbour",
    "chapel",
    "market",
    "orchard",
    "quarry",
    "ferry",
    "cellar",
    "stable",
    "library",
)
_PEOPLE = ("Anna", "Bertil", "Cosma", "Dorrit", "Egon", "Fenna", "Gorm", "Hild", "Ivo", "Jutta", "Kaspar", "Lene")
_CONDITIONS = ("trust >= 40", "trust >= 80", "quest('siege') >= 2", "faction('guild')", "flag('rain') or hour >= 20")
_WARM_UP = 20


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, nargs="+", default=[50, 500, 5000], help="facts a sheet")
    parser.add_argument("--lines", type=int, default=200, help="lines grounded a size")
    parser.add_argument("--events", type=int, default=20, help="world events in the talk")
    parser.add_argument("--encoder", default="encoder", help="installed sentence encoder")
    parser.add_argument("--seed", type=int, default=1, help="of the facts and lines")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    config = load_config(encoder=options.encoder, device="cpu")
    encoder = SentenceEncoder.load(find_installed(config.encoder, config.cache_dir).path, config=config)
    rows = asyncio.run(_measure_all(encoder, options))
    print(
        f"{'facts':>6} {'load s':>8} {'encode line ms':>15} {'ground p50 ms':>14} {'p95 ms':>8} {'own fact found':>15}"
    )
    for row in rows:
        print(
            f"{row['facts']:>6} {row['load_s']:>8.2f} {row['encode_p50_ms']:>15.2f} {row['ground_p50_ms']:>14.3f} "
            f"{row['ground_p95_ms']:>8.3f} {row['found_share']:>15.1%}"
        )
    if options.json:
        options.json.write_text(json.dumps({"threads": config.threads, "rows": rows}, indent=1) + "\n", "utf-8")
    return 0


async def _measure_all(encoder: SentenceEncoder, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        await measure(encoder, num_facts=size, num_lines=options.lines, num_events=options.events, seed=options.seed)
        for size in options.facts
    ]


async def measure(
    encoder: SentenceEncoder, *, num_facts: int, num_lines: int, num_events: int, seed: int
) -> dict[str, Any]:
    """One row of the table; times in the unit that the key names."""
    rng = np.random.default_rng(seed)
    sheet = _sheet(num_facts, rng)
    begun = time.perf_counter()
    grounder = Grounder(sheet, encoder)
    load_s = time.perf_counter() - begun
    state = GameState(trust=50, factions=frozenset({"guild"}))
    events = [
        WorldEvent(id=f"event:{i}", text=f"{_one(rng, _PEOPLE)} burnt the {_one(rng, _PLACES)}.")
        for i in range(num_events)
    ]
    known = [fact for fact in sheet.facts if fact.when is None or fact.when.holds(state)]
    asked = [known[int(index)] for index in rng.integers(0, len(known), num_lines + _WARM_UP)]
    encode_s, ground_s, found = [], [], 0
    for fact in asked:
        line = f"Tell me, {fact.text[0].lower()}{fact.text[1:-1]}?"
        begun = time.perf_counter()
        embedding = encoder.embed([line])[0]
        encoded = time.perf_counter()
        grounding = await grounder.ground(line, embedding, said_before=(), state=state, events=events)
        encode_s.append(encoded - begun)
        ground_s.append(time.perf_counter() - encoded)
        found += fact.text in [premise.text for premise in grounding.premises]
    return {
        "facts": num_facts,
        "load_s": load_s,
        "encode_p50_ms": _ms(encode_s, 50),
        "ground_p50_ms": _ms(ground_s, 50),
        "ground_p95_ms": _ms(ground_s, 95),
        "found_share": found / len(asked),
    }


def _sheet(num_facts: int, rng: np.random.Generator) -> CharacterSheet:
    conditions = [parse_condition(text) for text in _CONDITIONS]
    facts = tuple(
        Fact(
            id=f"fact-{index}",
            text=_sentence(rng),
            tags=(_one(rng, _GOODS), _one(rng, _PLACES)),
            when=conditions[index // 5 % len(conditions)] if index % 5 == 0 else None,
        )
        for index in range(num_facts)
    )
    shipped = next(iter(load_sheets([shipped_sheets_dir()]).values()))
    return shipped.model_copy(update={"facts": facts})


def _sentence(rng: np.random.Generator) -> str:
    person, kind, good, place = (_one(rng, words) for words in (_PEOPLE, _KINDS, _GOODS, _PLACES))
    forms = (
        f"The {kind} {good} costs {rng.integers(2, 900)} crowns.",
        f"{person} keeps {rng.integers(2, 90)} {kind} {good}s behind the {place}.",
        f"I bought a {kind} {good} from {person} in the year {rng.integers(300, 412)}.",
        f"{person} is afraid of the {place} since the {kind} {good} was stolen there.",
    )
    return forms[int(rng.integers(0, len(forms)))]


def _one(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(0, len(words)))]


def _ms(seconds: Sequence[float], percent: float) -> float:
    return float(np.percentile(seconds[_WARM_UP:], percent)) * 1e3


if __name__ == "__main__":
    sys.exit(main())
