"""Rules about the authored voice: catchphrases that take over, avoided words, recited facts, thin fallbacks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from npc_engine.sheets.lint.context import RARE, Context
from npc_engine.sheets.lint.facts import named_phrase, rare_shared
from npc_engine.sheets.lint.finding import Edit, Finding
from npc_engine.sheets.lint.subject import Text
from npc_engine.sheets.lint.words import find_phrase, stems, words

# More signature phrases than this, and every reply has one at hand. Source: chosen by hand.
MAX_CATCHPHRASES = 4
# A voice example that shares so much of a fact, rare words among it, recites it. Source: chosen by hand.
RECITED_SHARE = 0.6
_MONEY = (
    r"crowns?|penn(?:y|ies)|pence|coins?|gold|silvers?|coppers?|shillings?|marks?|ducats?|florins?|dollars?|credits?"
)
_NUMBER_WORD = (
    r"two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy|"
    r"eighty|ninety|(?:a|one|two|three|four|five) hundred"
)
_FIGURE = re.compile(rf"\b\d[\d.,]*\b|\b(?:{_NUMBER_WORD})(?:[ -]\w+)? (?:{_MONEY})\b", re.IGNORECASE)


def catchphrases(lint: Context) -> Iterator[Finding]:
    """SL007: catchphrases that the prompt shows anyway, that other lines repeat, or that are too many."""
    phrases = lint.subject.sheet.personality.catchphrases
    seen: dict[tuple[str, ...], int] = {}
    for index, phrase in enumerate(phrases):
        where = lint.subject.text_at("personality", "catchphrases", index)
        key = tuple(words(phrase))
        if key in seen:
            lines = lint.subject.entry_lines(where)
            yield lint.subject.found(
                "SL007",
                where,
                f"the catchphrase {phrase!r} is listed twice",
                hint="take one away",
                fix=lines and Edit(path=where.document.path, line=lines[0], end_line=lines[1]),
            )
            continue
        seen[key] = index
        yield from _repeated(lint, phrase)
    if len(seen) > MAX_CATCHPHRASES:
        yield lint.subject.found(
            "SL007",
            lint.subject.text_at("personality", "catchphrases", MAX_CATCHPHRASES),
            f"{len(seen)} catchphrases: the character becomes them",
            hint=f"keep the best {MAX_CATCHPHRASES} or fewer",
        )


def _repeated(lint: Context, phrase: str) -> Iterator[Finding]:
    """Where a catchphrase stands besides its own list: once in a line that is heard is enough to be too much."""
    plain = phrase.strip(" .,!?;:…'\"")
    for where in [*lint.subject.spoken, *(placed.text for placed in lint.subject.facts if placed.is_own)]:
        # A farewell is heard once a talk, and leaving by one's own phrase is what a phrase is for.
        if where.path == ("farewell",) or not (found := find_phrase(where.text, plain)):
            continue
        yield lint.subject.found(
            "SL007",
            where,
            f"the catchphrase {phrase!r} also stands here, where `quirk_budget` does not count it",
            words=found[0],
            hint="say it in other words; the engine brings the phrase in when its turn has come",
        )


def avoided_words(lint: Context) -> Iterator[Finding]:
    """SL008: authored lines and facts that break the character's own `voice.avoid`."""
    avoid = lint.subject.sheet.voice.avoid
    facts = [placed.text for placed in lint.subject.facts]
    phrases = [text for text in lint.subject.texts if text.path[:2] == ("personality", "catchphrases")]
    for where in [*lint.subject.spoken, *phrases, *facts]:
        word = named_phrase(where.text, avoid)
        if word:
            is_fact = where.path[-1] == "text"
            found = find_phrase(where.text, word)
            yield lint.subject.found(
                "SL008",
                where,
                f"`{word}` is a word that the character never uses"
                + (", so the judge rejects every reply that repeats this fact" if is_fact else ""),
                words=found[0] if found else "",
                hint="write it in other words, or take the word from `voice.avoid`",
            )


def facts_in_voice(lint: Context) -> Iterator[Finding]:
    """SL009: voice examples with figures or facts, which small models recite as answers."""
    for where in lint.subject.spoken:
        if where.path[:2] != ("voice", "examples"):
            continue
        if figure := _FIGURE.search(where.text):
            yield lint.subject.found(
                "SL009",
                where,
                f"a voice example holds the figure `{figure[0]}`; the model may say it whatever is asked",
                words=figure[0],
                hint="say it without the number; what may be asked for is a fact",
            )
            continue
        for placed in lint.subject.facts:
            if _recites(lint, where, placed.fact.text):
                yield lint.subject.found(
                    "SL009",
                    where,
                    f"a voice example recites the fact `{placed.fact.id}`: {placed.fact.text!r}",
                    hint="let the example show the manner and the fact hold what is true",
                )
                break


def _recites(lint: Context, where: Text, fact: str) -> bool:
    about = stems(fact)
    shared = about & stems(where.text)
    if len(shared) < 3 or len(shared) < RECITED_SHARE * len(about):
        return False
    return bool(rare_shared(where.text, fact, lint.frequency, RARE + 1))


def fallbacks(lint: Context) -> Iterator[Finding]:
    """SL010: a reason with one line is heard word for word each time; a line twice is one line."""
    sheet = lint.subject.sheet
    for reason in type(sheet.fallbacks).model_fields:
        lines: tuple[str, ...] = getattr(sheet.fallbacks, reason)
        seen: set[tuple[str, ...]] = set()
        for index, line in enumerate(lines):
            key = tuple(words(line))
            where = lint.subject.text_at("fallbacks", reason, index)
            if key in seen:
                whole = lint.subject.entry_lines(where)
                yield lint.subject.found(
                    "SL010",
                    where,
                    f"the line {line!r} stands twice under `{reason}`",
                    hint="take one away",
                    fix=whole and Edit(path=where.document.path, line=whole[0], end_line=whole[1]),
                )
            seen.add(key)
        if len(seen) < 2:
            yield lint.subject.found(
                "SL010",
                lint.subject.text_at("fallbacks", reason, 0),
                f"`{reason}` has one line, which is then said word for word each time",
                hint="write a second one",
            )
