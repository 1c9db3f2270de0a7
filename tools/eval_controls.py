"""Measures what each deflanderization control does to what is said: settings against length, index, quirks, recall.

python -m tools.eval_controls --model tiny                       every control, two settings and the default
python -m tools.eval_controls --model base --controls role_play synchrony --talks 4 --seeds 1 --json out.json

Each talk is fixed: small talk, questions of the character's question file, and a task that the game carries out. For
`synchrony` the player shouts the same lines. Every setting runs the same talks with the same seeds, set for the
conversation. Means are over replies; intervals are a percentile bootstrap over talks, 95 % (Efron and Tibshirani
1993). A control should move its own column (*) and leave the others where they are.

    words      words a reply                        sentences  sentences a reply
    index      flanderization index                 quirks     catchphrases and quirks a reply
    recall     share of questions answered          carried    share of a task result's values that the reply names
    mirror     how far the style goes to the player's
    voice      closeness of the style to the sheet's voice examples
    shout      exclamation marks a sentence         ttr        type-token ratio of a talk, over its first 100 words
    authored   share of replies in the sheet's own words    seconds    a turn
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from npc_engine.config import load_config
from npc_engine.dialogue.engine import Dialogue, load_dialogue
from npc_engine.dialogue.events import ActionCall, TurnEnd
from npc_engine.guard.flanderization import flanderization_index, traits_in
from npc_engine.guard.style import closeness, mirroring, style
from npc_engine.guard.words import stems
from npc_engine.sheets.controls import ControlOverrides, ControlValues
from npc_engine.sheets.fields import Answer
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.questions import answers, load_questions
from npc_engine.sheets.words import words

SETTINGS: dict[str, tuple[float, ...]] = {
    "role_play": (0.0, 1.0),
    "max_words": (10, 80),
    "max_sentences": (1, 6),
    "quirk_budget": (0, 4),
    "cooldown_turns": (0, 12),
    "trait_saturation": (0.05, 1.0),
    "task_priority": (0.0, 1.0),
    "synchrony": (0.0, 1.0),
}
OWN = {
    "role_play": "voice",
    "max_words": "words",
    "max_sentences": "sentences",
    "quirk_budget": "quirks",
    "cooldown_turns": "quirks",
    "trait_saturation": "index",
    "task_priority": "carried",
    "synchrony": "mirror",
}
# Others that a budget is shown with, so that the control under test is what binds.
ALONGSIDE: dict[str, dict[str, float]] = {
    "quirk_budget": {"role_play": 0.9},
    "cooldown_turns": {"role_play": 0.9},
    "trait_saturation": {"role_play": 0.9, "quirk_budget": 20},
    "max_sentences": {"max_words": 120},
    "max_words": {"max_sentences": 6},
}
COLUMNS = (
    *("words", "sentences", "index", "quirks", "recall", "carried"),
    *("mirror", "voice", "shout", "ttr", "authored", "seconds"),
)
SMALL_TALK = ("Good day to you!", "How are you today?", "You look tired.", "What do you like about your work?")
TASKS = {
    "aldith": ("I bet five pennies on the goose race.", {"matter": "goose race", "odds": "four to one", "payout": 20}),
    "hesta": ("I would like to buy a short sword, please.", {"item": "short sword", "price": "40 crowns"}),
    "corin": ("I would like to rent a room for the night.", {"room": "the green room", "price": "6 pennies"}),
    "gil": ("Take me across the river, please.", {"fare": "2 pennies", "leaves": "at once"}),
}
TTR_WORDS = 100


@dataclass
class Talk:
    """One conversation's figures: of each column the values of its replies."""

    values: dict[str, list[float]] = field(default_factory=dict)
    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, value: float) -> None:
        """Add a reply's value."""
        self.values.setdefault(name, []).append(float(value))


@dataclass(frozen=True)
class Line:
    """What the player says, and what is looked for in the reply."""

    text: str
    answer: Answer = ()
    result: dict[str, Any] | None = None


def script(name: str, num_questions: int) -> list[Line]:
    """The fixed lines to a character: small talk and questions in turns, a task at the end where there is one."""
    questions = load_questions(shipped_sheets_dir() / "questions" / f"{name}.yaml").questions
    asked = [Line(q.question, answer=q.answer) for q in questions if q.state.trust == 0][:num_questions]
    lines = [one for pair in zip(map(Line, SMALL_TALK), asked, strict=False) for one in pair]
    lines += asked[len(SMALL_TALK) :]
    if name in TASKS:
        line, result = TASKS[name]
        lines.append(Line(line, result=result))
    return lines


async def run_talk(
    dialogue: Dialogue, name: str, lines: Sequence[Line], controls: ControlOverrides, *, is_loud: bool
) -> Talk:
    """One conversation from its first line to its last."""
    talk = Talk()
    conversation = dialogue.open_conversation(name, player_id=f"eval-{time.monotonic_ns()}", actions=["*"])
    conversation.set_controls(controls)
    voice = conversation.character.voice
    for line in lines:
        text = f"{line.text.rstrip('.?!').upper()}!!!" if is_loud else line.text
        started, end, agreed = time.perf_counter(), None, text
        for _ in range(2):  # an offered action is agreed to
            async with aclosing(conversation.say(agreed)) as events:
                async for event in events:
                    if isinstance(event, ActionCall):
                        conversation.action_result(event.call_id, line.result or {}, None)
                    elif isinstance(event, TurnEnd):
                        end = event
            if line.result is None or conversation.pending is None:
                break
            agreed = "Yes, please."
        assert end is not None
        _measure(talk, line, end, text, voice, seconds=time.perf_counter() - started)
    said = [word for _, reply in talk.texts for word in words(reply)][:TTR_WORDS]
    talk.add("ttr", len(set(said)) / max(1, len(said)))
    conversation.close()
    return talk


def _measure(talk: Talk, line: Line, end: TurnEnd, text: str, voice: Any, *, seconds: float) -> None:
    reply, said = end.text, style(end.text)
    talk.texts.append((text, reply))
    talk.add("words", len(reply.split()))
    talk.add("sentences", max(1, sum(reply.count(mark) for mark in ".!?")))
    talk.add("authored", end.source != "model")
    talk.add("seconds", seconds)
    if line.answer:
        talk.add("recall", answers(reply, line.answer))
    if line.result is not None and end.trace.get("action", {}).get("call_id"):
        wanted = frozenset().union(*(stems(str(value)) for value in line.result.values()))
        talk.add("carried", len(stems(reply) & wanted) / len(wanted))
    if end.source == "model":
        talk.add("index", flanderization_index(reply, voice.lexicon))
        talk.add("quirks", len(traits_in(reply, voice.lexicon)))
        talk.add("mirror", mirroring(said, own=voice.style, player=style(text)))
        talk.add("voice", closeness(said, voice.style))
        talk.add("shout", said[1])


def interval(talks: Sequence[Talk], column: str, *, resamples: int = 2000) -> tuple[float, float, float] | None:
    """Mean over replies, and the 95 % bootstrap interval over talks; None where nothing was measured."""
    pairs = [(sum(values), len(values)) for talk in talks if (values := talk.values.get(column))]
    if not pairs:
        return None
    sums = np.array(pairs, np.float64)
    drawn = sums[np.random.default_rng(0).integers(0, len(sums), (resamples, len(sums)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high)


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every setting of the wanted controls; prints a row each."""
    names = list(TASKS)[: options.talks]
    sheets = tuple(shipped_sheets_dir() / f"{name}.yaml" for name in names)
    report: dict[str, Any] = {"model": options.model, "talks": names, "seeds": options.seeds, "rows": []}
    talks: dict[tuple[str, float | None], list[Talk]] = {}
    for seed in range(options.seeds):
        config = load_config(None, model=options.model, seed=seed, guard=options.guard, sheets=sheets)
        dialogue = load_dialogue(config)
        await dialogue.start()
        await dialogue.warmed()
        for control in options.controls:
            for value in SETTINGS[control]:
                overrides = ControlOverrides(**(ALONGSIDE.get(control, {}) | {control: value}))
                for name in names:
                    lines = script(name, options.questions)
                    talk = await run_talk(dialogue, name, lines, overrides, is_loud=control == "synchrony")
                    talks.setdefault((control, value), []).append(talk)
                print(f"seed {seed}: {control} = {value} done", file=sys.stderr, flush=True)
        await dialogue.aclose()
    print(f"{'control':18}{'value':>7}  " + "".join(f"{column:>24}" for column in COLUMNS))
    for (control, value), group in talks.items():
        figures = {column: interval(group, column) for column in COLUMNS}
        report["rows"].append(
            {
                "control": control,
                "value": value,
                "figures": figures,
                "texts": [text for talk in group for text in talk.texts],
            }
        )
        print(f"{control:18}{value:>7}  " + "".join(_cell(figures[c], is_own=OWN[control] == c) for c in COLUMNS))
    return report


def _cell(figure: tuple[float, float, float] | None, *, is_own: bool) -> str:
    if figure is None:
        return f"{'-':>24}"
    mean, low, high = figure
    return f"{'*' if is_own else ''}{mean:.2f} [{low:.2f}, {high:.2f}]".rjust(24)


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="dialogue model: a profile or an installed model's name")
    parser.add_argument("--controls", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="which controls")
    parser.add_argument("--talks", type=int, default=4, help=f"characters, at most {len(TASKS)}")
    parser.add_argument("--questions", type=int, default=4, help="questions a talk")
    parser.add_argument("--seeds", type=int, default=2, help="each runs every talk once more")
    parser.add_argument("--guard", default="rules", help="setting `guard`")
    parser.add_argument("--json", type=Path, help="write figures and replies here")
    options = parser.parse_args()
    report = asyncio.run(run(options))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


assert set(SETTINGS) == set(OWN) == set(ControlValues.model_fields)

if __name__ == "__main__":
    main()
