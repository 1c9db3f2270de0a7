"""A card as a sheet: which field becomes what.

The same card and name give the same sheet, so that an export can tell what the writer has changed since. Instructions
to a model (`system_prompt`, `post_history_instructions`) become nothing: they stay in the kept card.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from npc_engine.errors import CardTooLarge
from npc_engine.sheets.cards import identity
from npc_engine.sheets.cards.first_person import Speaker, attribute_fact
from npc_engine.sheets.cards.json_fields import BOOK, Card, FieldPath
from npc_engine.sheets.cards.lorebook import Entry, read_entry
from npc_engine.sheets.cards.macros import plain
from npc_engine.sheets.cards.prose import Piece, pieces, sentence_end, with_referents
from npc_engine.sheets.cards.speech import Example, examples, spoken
from npc_engine.sheets.fields import MAX_FACT_CHARS, MAX_FACTS, MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_TAGS
from npc_engine.sheets.schema import CHARACTER_SCHEMA

# Raised when the rules below give another sheet for the same card: a kept card names the rules it was read by.
MAPPING_VERSION = 1
PROSE_FIELDS = ("description", "personality", "scenario")

FALLBACKS = {
    "unknown": ["I don't know anything about that.", "I couldn't tell you."],
    "error": ["Sorry, what did you say?"],
    "refusal": ["No. I won't do that."],
    "out_of_world": ["I don't know what you mean."],
    "busy": ["One moment."],
}
_STAND_INS = {
    "role": "someone who lives here",
    "social": "Known to the people nearby.",
    "personal": "Keeps to what is familiar.",
    "context": "An ordinary day.",
}
GREETING = "Hello."


@dataclass
class Report:
    """What an import or an export did, in lines for the writer.

    Attributes:
        went: What went where.
        kept: What is kept aside and has no effect in the engine.
        look: What the writer should look at.
    """

    went: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    look: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Origin:
    """Where in the card a text of the sheet comes from."""

    field: FieldPath
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Mapping:
    """A card's sheet, and where each part of it stands in the card.

    Attributes:
        sheet: Plain data that validates as a CharacterSheet; without `extensions`.
        identity: Origins of `role`, `social`, `personal`, `context` and `register`, as far as the card has them.
        facts: Origins of the facts, by id.
        entries: The lorebook's entries that gave facts, by their place in the card's data.
        examples: The exchanges that gave `voice.examples`, in the same order.
        report: For the writer.
    """

    sheet: dict[str, Any]
    identity: dict[str, Origin]
    facts: dict[str, Origin]
    entries: dict[FieldPath, Entry]
    examples: tuple[Example, ...]
    report: Report


def map_card(card: Card, *, name: str, path: str = "") -> Mapping:
    """The sheet that a card is.

    Args:
        card: The card.
        name: The character's name; not empty.
        path: The card's file, for errors.

    Raises:
        CardTooLarge: It has more than MAX_FACTS facts.
    """
    shown = sentence_end(plain(name, name=""), MAX_NAME_CHARS) or "Nameless"
    called = plain(card.text("nickname"), name=shown)[:MAX_NAME_CHARS].strip() or shown
    report = Report()
    origins, prose = _identity(card, called)
    facts, fact_origins = _prose_facts(prose, shown, called)
    entries = [read_entry(place, raw, name=called) for place, raw in card.entries()]
    lore, lore_origins = _lore_facts(entries, shown, called)
    if len(facts) + len(lore) > MAX_FACTS:
        raise CardTooLarge(
            f"{len(facts) + len(lore):,} sentences, a sheet has at most {MAX_FACTS:,} facts",
            path=path,
            hint="take entries out of the card's lorebook",
        )
    heard = examples(card.text("mes_example"), name=called)
    greeting = spoken(card.text("first_mes"), name=called)
    sheet = {
        "schema": CHARACTER_SCHEMA,
        "id": slug(shown) or f"character-{hashlib.sha256(shown.encode('utf-8', 'replace')).hexdigest()[:8]}",
        "identity": {
            "name": shown,
            **{key: origins[key][0] if key in origins else stand_in for key, stand_in in _STAND_INS.items()},
        },
        "voice": {
            "register": origins["register"][0] if "register" in origins else _register(heard),
            "examples": [
                {"player": one.player, "character": one.character} if one.player else one.character for one in heard
            ],
        },
        "facts": [*facts, *lore],
        "fallbacks": FALLBACKS,
        "greeting": greeting or GREETING,
    }
    mapping = Mapping(
        sheet=sheet,
        identity={key: origin for key, (_, origin) in origins.items()},
        facts=fact_origins | lore_origins,
        entries={entry.place: entry for entry in entries if entry.is_enabled},
        examples=tuple(heard),
        report=report,
    )
    return mapping


def slug(text: str, max_chars: int = 40) -> str:
    """The text as an id: ASCII letters and digits with dashes between them; empty where nothing of it is left."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:max_chars].strip("-")


def _identity(card: Card, called: str) -> tuple[dict[str, tuple[str, Origin]], dict[str, list[Piece]]]:
    """Identity texts with their origins, and what is left of each prose field."""
    prose = {name: pieces(card.text(name), name=called) for name in PROSE_FIELDS}
    origins: dict[str, tuple[str, Origin]] = {}

    def take(key: str, name: str, part: identity.Part | None) -> None:
        if part is not None and key not in origins:
            origins[key] = (part.text, Origin((name,), part.pieces))
            prose[name] = [piece for piece in prose[name] if piece not in part.pieces]

    for piece in [*prose["description"]]:
        if piece.key.lower() in ("name", "character", "char") and piece.text.lower() in (called.lower(), ""):
            prose["description"].remove(piece)
    take("role", "description", identity.find_role(prose["description"], called))
    take("register", "description", identity.find_register(prose["description"]))
    take("personal", "personality", identity.opening(prose["personality"]))
    take("context", "scenario", identity.opening(prose["scenario"]))
    take("social", "description", identity.find_social(prose["description"]))
    take("personal", "description", identity.find_personal(prose["description"]))
    return origins, prose


def _register(heard: Sequence[Example]) -> str:
    return "as in the example lines" if heard else "plain and natural"


def _prose_facts(
    prose: dict[str, list[Piece]], shown: str, called: str
) -> tuple[list[dict[str, Any]], dict[str, Origin]]:
    facts: list[dict[str, Any]] = []
    origins: dict[str, Origin] = {}
    for name, found in prose.items():
        for number, (piece, text) in enumerate(_told(found, shown, called), start=1):
            fact_id = f"{name}-{number}"
            facts.append({"id": fact_id, "text": text})
            origins[fact_id] = Origin((name,), (piece,))
    return facts, origins


def _lore_facts(entries: Iterable[Entry], shown: str, called: str) -> tuple[list[dict[str, Any]], dict[str, Origin]]:
    facts: list[dict[str, Any]] = []
    origins: dict[str, Origin] = {}
    for position, entry in enumerate(entries, start=1):
        if not entry.is_enabled:
            continue
        stem = "-".join(part for part in ("lore", str(position), slug(entry.title, 30)) if part)
        source = sentence_end(f"card lorebook: {entry.title or position}", MAX_NOTE_CHARS)
        for number, (piece, text) in enumerate(
            _told(with_referents(pieces(entry.content, name=called)), shown, called), start=1
        ):
            fact_id = f"{stem}-{number}"
            tags = {"tags": list(entry.keys[:MAX_TAGS])} if entry.keys else {}
            facts.append({"id": fact_id, "text": text, **tags, "source": source})
            moved = replace(piece, start=piece.start + entry.offset, end=piece.end + entry.offset)
            origins[fact_id] = Origin((*entry.place, "content"), (moved,))
    return facts, origins


def _told(found: Iterable[Piece], shown: str, called: str) -> Iterator[tuple[Piece, str]]:
    """Each piece with the fact it is told as."""
    speaker = Speaker(called if called.split() else shown)
    for piece in found:
        text = attribute_fact(piece.key, piece.text) if piece.key else speaker.said(piece.text)
        yield piece, sentence_end(text, MAX_FACT_CHARS)


def describe(card: Card, mapping: Mapping) -> Report:
    """The report of an import: what went where, what is kept aside, what to look at."""
    report = mapping.report
    report.look += card.warnings
    _went(card, mapping, report)
    _kept(card, report)
    _lore(card, mapping, report)
    sheet = mapping.sheet
    if len(" ".join(card.text("name").split())) > MAX_NAME_CHARS:
        report.look.append(f"identity.name: cut to {MAX_NAME_CHARS} characters")
    missing = [f"identity.{key}" for key in _STAND_INS if key not in mapping.identity]
    if missing:
        report.look.append(f"{', '.join(missing)}: the card says nothing that fits; a stand-in is written there")
    report.look.append("fallbacks: the lines are plain ones for anybody; put them into the character's voice")
    if sheet["greeting"] == GREETING:
        report.look.append("greeting: first_mes holds nothing said aloud; write one")
    elif sheet["greeting"] != " ".join(card.text("first_mes").split()):
        report.look.append("greeting: only what is said aloud of first_mes, and not all where it is long")
    hidden = [fact["id"] for fact in sheet["facts"] if identity.speaks_of_a_secret(fact["text"])]
    if hidden:
        report.look.append(
            f"{_some(hidden)}: sounds like a secret; cards have none, so give it a `when` and `secret: true`"
        )
    odd = [fact["id"] for fact in sheet["facts"] if "{{" in fact["text"]]
    if odd:
        report.look.append(f"{_some(odd)}: a macro in it is not known and stands as it was")
    return report


def _went(card: Card, mapping: Mapping, report: Report) -> None:
    report.went.append(f"name -> identity.name ({mapping.sheet['identity']['name']})")
    for name in PROSE_FIELDS:
        parts = [
            f"{'voice' if key == 'register' else 'identity'}.{key}"
            for key, origin in mapping.identity.items()
            if origin.field == (name,)
        ]
        ids = [fact_id for fact_id, origin in mapping.facts.items() if origin.field == (name,)]
        texts = [fact["text"] for fact in mapping.sheet["facts"] if fact["id"] in set(ids)]
        mine = sum(bool(re.match(r"(?:I|My|I'm)\b", text)) for text in texts)
        facts = [f"{_count(len(ids), 'fact')} ({mine} in the first person)"] if ids else []
        if parts or facts:
            report.went.append(f"{name} -> {', '.join([*parts, *facts])}")
        if ids and mine < len(ids):
            report.look.append(
                f"{name}: {_count(len(ids) - mine, 'fact')} not in the first person; put them so where it fits"
            )
    if mapping.examples:
        report.went.append(f"mes_example -> voice.examples ({len(mapping.examples)})")
    if mapping.sheet["greeting"] != GREETING:
        report.went.append("first_mes -> greeting")


def _kept(card: Card, report: Report) -> None:
    for name in ("system_prompt", "post_history_instructions"):
        if text := card.data.get(name):
            report.kept.append(f"{name} ({len(str(text))} characters): never reaches the prompt")
    read = {"name", *PROSE_FIELDS, "first_mes", "mes_example", "nickname", BOOK, "system_prompt"}
    rest = [
        name
        for name, value in card.data.items()
        if name not in read and name != "post_history_instructions" and value not in (None, "", [], {})
    ]
    if rest:
        report.kept.append(f"{', '.join(sorted(rest))[:400]}: no field of a sheet; exported again as they are")


def _lore(card: Card, mapping: Mapping, report: Report) -> None:
    raws = dict(card.entries())
    entries = mapping.entries.values()
    num_facts = sum(origin.field[0] == BOOK for origin in mapping.facts.values())
    if num_facts:
        report.went.append(
            f"character_book -> {_count(num_facts, 'fact')} of {_count(len(mapping.entries), 'entry')}, keys as tags"
        )
    counts = {
        "disabled: not in the sheet": len(raws) - len(mapping.entries),
        "constant: looked up like any other fact": sum(entry.is_constant for entry in entries),
        "with decorators (@@…): without effect": sum(bool(entry.decorators) for entry in entries),
        "with patterns as keys: their words are tags, the patterns are not run": sum(e.has_patterns for e in entries),
        f"with more than {MAX_TAGS} keys: the first {MAX_TAGS} are tags": sum(len(e.keys) > MAX_TAGS for e in entries),
        "with secondary keys: tags like the others": sum(
            bool(raw.get("secondary_keys") or raw.get("keysecondary")) for raw in raws.values()
        ),
    }
    report.kept += [f"lorebook entries {what} ({count})" for what, count in counts.items() if count]
    if any(name in (card.data.get(BOOK) or {}) for name in ("scan_depth", "token_budget", "recursive_scanning")):
        report.kept.append("lorebook scan depth, budget and recursion: the engine has its own way of choosing facts")
    bad = [pattern for entry in entries for pattern in entry.bad_patterns]
    if bad:
        report.look.append(f"{_some(bad)}: not a pattern that RE2 runs in linear time; it is kept as text only")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def _some(items: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(item[:60] for item in items[:most])
    return shown + (f" and {len(items) - most} more" if len(items) > most else "")
