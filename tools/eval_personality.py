"""Do the Big Five scores of a sheet change how the character talks? Low against high of each trait, counted.

python tools/eval_personality.py [--model base] [--sheet character_sheets/corin.yaml] [--bare] [--seeds 1] [--json FILE]

The sheet is loaded eleven times: with every score at 0.5, and with one score at 0.1 or 0.9. Each is asked the same
lines with the same seeds, the guard off, each line in a talk of its own. `--bare` leaves the voice examples out, which
shape the voice more than anything else. A row a trait and quantity: the mean of the low and of the high side, their
difference and its 95 % interval (paired bootstrap over lines and seeds, 2,000 resamples). `expected` is the sign that
research on language and personality finds. Source: Mairesse et al. 2007, Using linguistic cues for the automatic
recognition of personality in conversation and text, section 3.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

from npc_engine.cli.local import install_if_missing
from npc_engine.config import load_config
from npc_engine.dialogue.engine import Dialogue, build_dialogue
from npc_engine.dialogue.events import TurnEnd
from npc_engine.models.installed import find_installed
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.personality.inventory import TRAITS
from npc_engine.sheets.schema import BigFive, CharacterSheet

LOW, HIGH = 0.1, 0.9
LINES = (
    "How are you today?",
    "What do you think of strangers?",
    "It has been raining for a week now.",
    "Somebody broke a window in the market last night.",
    "Shall we try something new?",
    "Tell me about your work.",
)
_POSITIVE = (
    "good great glad happy love like nice fine well thank thanks welcome warm pleased enjoy hope friend kind sweet"
)
_NEGATIVE = (
    "bad sad angry hate fear afraid worry worried trouble wrong hard hurt sick tired lost poor problem cold dark"
)
_HEDGES = "maybe perhaps might may could seems guess suppose probably possibly somewhat rather quite sort kind"
# Which side has more of a quantity; others have no settled sign.
EXPECTED = {
    ("extraversion", "words a reply"): "+",
    ("extraversion", "positive words"): "+",
    ("extraversion", "exclamation marks"): "+",
    ("agreeableness", "positive words"): "+",
    ("agreeableness", "negative words"): "-",
    ("neuroticism", "negative words"): "+",
    ("neuroticism", "positive words"): "-",
    ("conscientiousness", "negative words"): "-",
    ("openness", "hedges"): "+",
}


def quantities(reply: str) -> dict[str, float]:
    """What is counted in a reply; words of a list in a hundred words."""
    words = re.findall(r"[a-z']+", reply.casefold())
    sentences = [part for part in re.split(r"[.!?…]+", reply) if part.strip()]
    per_hundred = 100 / max(1, len(words))
    return {
        "words a reply": float(len(words)),
        "words a sentence": len(words) / max(1, len(sentences)),
        "exclamation marks": float(reply.count("!")),
        "questions": float(reply.count("?")),
        "positive words": sum(word in _POSITIVE.split() for word in words) * per_hundred,
        "negative words": sum(word in _NEGATIVE.split() for word in words) * per_hundred,
        "hedges": sum(word in _HEDGES.split() for word in words) * per_hundred,
    }


def variants(sheet: CharacterSheet, *, is_bare: bool) -> list[CharacterSheet]:
    """The sheet with all scores in the middle, and with one low or high."""
    voice = sheet.voice.model_copy(update={"examples": ()}) if is_bare else sheet.voice
    made = []
    for name, changed in [("middle", {}), *((f"{t}-{s}", {t: s}) for t in TRAITS for s in (LOW, HIGH))]:
        temper = sheet.personality.model_copy(update={"big_five": BigFive(**changed)})
        made.append(sheet.model_copy(update={"id": name, "personality": temper, "voice": voice}))
    return made


async def replies(dialogue: Dialogue, name: str) -> list[str]:
    """What one variant answers to each line."""
    heard = []
    for line in LINES:
        talk = dialogue.open_conversation(name, player_id="eval")
        async with aclosing(talk.say(line)) as turn:
            heard += [event.text async for event in turn if isinstance(event, TurnEnd)]
        talk.close()
    return heard


def interval(differences: list[float]) -> tuple[float, float]:
    """The 95 % interval of a mean difference."""
    rng = random.Random(1)
    means = sorted(statistics.fmean(rng.choices(differences, k=len(differences))) for _ in range(2000))
    return means[49], means[1949]


def rows(said: dict[str, list[str]]) -> Iterable[dict[str, object]]:
    """The table."""
    for trait in TRAITS:
        sides = [[quantities(reply) for reply in said[f"{trait}-{side}"]] for side in (LOW, HIGH)]
        for name in sides[0][0]:
            low, high = ([counts[name] for counts in side] for side in sides)
            differences = [b - a for a, b in zip(low, high, strict=True)]
            yield {
                "trait": trait,
                "quantity": name,
                "low": statistics.fmean(low),
                "high": statistics.fmean(high),
                "difference": statistics.fmean(differences),
                "interval": interval(differences),
                "expected": EXPECTED.get((trait, name), ""),
            }


async def run(given: argparse.Namespace) -> dict[str, list[str]]:
    """Every variant's replies."""
    said: dict[str, list[str]] = {}
    sheets = variants(load_sheet(given.sheet), is_bare=given.bare)
    for seed in range(1, given.seeds + 1):
        settings = load_config(model=given.model, guard="off", seed=seed)
        folders = {
            f"{kind}_folder": find_installed(name, settings.cache_dir).path
            for kind, name in (("model", settings.model), ("encoder", settings.encoder))
        }
        dialogue = build_dialogue(sheets, config=settings, **folders)
        await dialogue.start()
        try:
            for sheet in sheets:
                said.setdefault(sheet.id, []).extend(await replies(dialogue, sheet.id))
                print(f"seed {seed}: {sheet.id}", flush=True)
        finally:
            await dialogue.aclose()
    return said


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--sheet", type=Path, default=shipped_sheets_dir() / "corin.yaml")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    settings = load_config(model=given.model)
    install_if_missing(settings.model, settings.cache_dir, ask=False)
    said = asyncio.run(run(given))
    table = list(rows(said))
    print(f"{'trait':18} {'quantity':18} {'low':>6} {'high':>6} {'apart':>6}  95 % interval     expected")
    for row in table:
        low, high = row["interval"]
        sure = "*" if low > 0 or high < 0 else " "
        means = f"{row['low']:6.2f} {row['high']:6.2f} {row['difference']:+6.2f}{sure}"
        named = f"{row['trait']:18} {row['quantity']:18}"
        print(f"{named} {means} {low:+6.2f} to {high:+6.2f}  {row['expected']}")
    if given.json is not None:
        document = {
            "model": given.model,
            "sheet": given.sheet.name,
            "is_bare": given.bare,
            "replies": said,
            "table": table,
        }
        given.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
