"""Have the talks: the engine in this process, several conversations at once, each finished talk a line of a file.

What was had is not had again: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_engine.dialogue.engine import Dialogue
from npc_engine.dialogue.events import Sentence, TurnEnd
from npc_engine.sheets.schema import CharacterSheet
from tools.consistency.material import Talk
from tools.evaluation.records import append_record, kept

# What a turn's record keeps of its trace.
_KEPT = ("premises", "unknown_topic", "route", "latency", "stages", "tokens", "judge", "error", "stopped", "seed")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a record belongs to; records of another run are left alone.

    Attributes:
        guard: The guard strategy.
        model: The dialogue model.
        seed: Of every conversation.
        temperature: Of replies.
    """

    guard: str
    model: str
    seed: int
    temperature: float

    def key(self, talk: Talk) -> dict[str, Any]:
        """What names a record."""
        return {
            "guard": self.guard,
            "model": self.model,
            "seed": self.seed,
            "temperature": self.temperature,
            "talk": talk.id,
            "digest": talk.digest,
        }


def kept_records(path: Path, run: Run, talks: Sequence[Talk]) -> dict[str, dict[str, Any]]:
    """The records of a run's talks that a file holds already, by talk id; a torn last line is left out."""
    return kept(path, {talk.id: run.key(talk) for talk in talks})


async def have_talks(
    dialogue: Dialogue,
    talks: Sequence[Talk],
    *,
    run: Run,
    path: Path,
    at_once: int,
    on_turns: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Have talks, `at_once` of them side by side; append each to the file when it is over.

    Args:
        dialogue: The running engine.
        talks: What to say.
        run: Named in each record.
        path: A file of JSON lines.
        at_once: Conversations side by side.
        on_turns: Told the number of turns each time a talk is over.

    Returns:
        The records, in the order of the talks.
    """
    gate = asyncio.Semaphore(at_once)

    async def one(talk: Talk) -> dict[str, Any]:
        async with gate:
            record = run.key(talk) | {
                "part": talk.part,
                "character": talk.character,
                "turns": await _have(dialogue, talk),
            }
        append_record(path, record)
        on_turns(len(talk.asks))
        return record

    return await asyncio.gather(*(one(talk) for talk in talks))


async def _have(dialogue: Dialogue, talk: Talk) -> list[dict[str, Any]]:
    """One talk; a player of its own, so that nothing remembered of another talk gets in."""
    conversation = dialogue.open_conversation(
        talk.character, player_id=f"examiner {talk.id}", state=talk.state, actions=()
    )
    turns = []
    try:
        for ask in talk.asks:
            begun = time.perf_counter()
            first_s, sentences, end = 0.0, [], None
            async with aclosing(conversation.say(ask.line)) as events:
                async for event in events:
                    if isinstance(event, Sentence):
                        first_s = first_s or time.perf_counter() - begun
                        sentences.append(event.text)
                    elif isinstance(event, TurnEnd):
                        end = event
            assert end is not None  # run_turn always ends with one
            turns.append(
                {
                    "line": ask.line,
                    "reply": end.text,
                    "sentences": sentences,
                    "source": end.source,
                    "finish_reason": end.finish_reason,
                    "time_to_first_sentence_s": round(first_s, 4),
                    "total_s": round(time.perf_counter() - begun, 4),
                    "trace": {name: end.trace[name] for name in _KEPT if name in end.trace},
                }
            )
    finally:
        conversation.close()
    return turns


def authored_records(talks: Sequence[Talk], sheets: Mapping[str, CharacterSheet]) -> list[dict[str, Any]]:
    """What a perfect character would say: the fact asked for, else an authored line of not knowing or refusing.

    Its rates are the false alarms of the checks themselves; nothing is generated.
    """
    records = []
    for talk in talks:
        sheet = sheets[talk.character]
        facts = {fact.id: fact.text for fact in sheet.facts}
        turns = []
        for ask in talk.asks:
            if ask.kind in ("fact", "again", "told"):
                reply = facts[ask.subject]
            else:
                lines = sheet.fallbacks.refusal if ask.kind == "attempt" else sheet.fallbacks.unknown
                reply = lines[0]
            turns.append({"line": ask.line, "reply": reply, "sentences": [reply], "source": "fallback", "trace": {}})
        records.append({"talk": talk.id, "part": talk.part, "character": talk.character, "turns": turns})
    return records
