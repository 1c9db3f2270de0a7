"""Carry into a card what a writer has changed in its sheet, and leave every other character of it alone.

The card is mapped again, and each text of the sheet is compared with what the card gives: where they differ, the
place in the card that the text came from is rewritten. What is new goes to the card's lorebook or the end of a field.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from npc_engine.sheets.cards.json_fields import BOOK, V1_FIELDS, Card, FieldPath
from npc_engine.sheets.cards.mapping import Mapping, Origin
from npc_engine.sheets.cards.prose import Piece
from npc_engine.sheets.cards.speech import Example
from npc_engine.sheets.fields import Fact
from npc_engine.sheets.schema import CharacterSheet, VoiceExample

# Where an identity text goes that the card has no place for, and how it is introduced there.
_HOME = {
    "role": ("description", "{{{{char}}}} is {}."),
    "social": ("description", "{}"),
    "personal": ("personality", "{}"),
    "context": ("scenario", "{}"),
    "register": ("description", "Speech: {}"),
}


def carry_edits(card: Card, base: Mapping, sheet: CharacterSheet) -> Card:
    """A copy of the card with the sheet's changes.

    Facts with a condition are left out of its texts: other programs have no conditions, and would tell them to anybody.

    Args:
        card: The card as it was imported; a blank one for a sheet that never was a card.
        base: What the card maps to; for a blank one, a mapping without origins.
        sheet: The sheet as it is now.
    """
    edited = card.copied()
    texts = _Texts(edited.data)
    original = base.sheet
    if sheet.identity.name != original["identity"]["name"]:
        edited.data["name"] = sheet.identity.name
    if sheet.greeting != original["greeting"]:
        edited.data["first_mes"] = sheet.greeting
    now = {key: getattr(sheet.identity, key) for key in ("role", "social", "personal", "context")}
    for key, text in (now | {"register": sheet.voice.register_}).items():
        before = original["voice"]["register"] if key == "register" else original["identity"][key]
        if text != before:
            _identity(texts, key, before, text, base.identity.get(key))
    added = _facts(texts, base, [fact for fact in sheet.facts if fact.when is None])
    _examples(texts, base.examples, sheet.voice.examples)
    texts.write()
    _entries(edited, base, sheet)
    _append_facts(edited, added)
    _top_level(card, edited)
    return edited


@dataclass
class _Texts:
    """Changes to a card's text fields, made at once, from the end of each text to its start."""

    data: dict[str, Any]
    changes: dict[FieldPath, list[tuple[int, int, str]]] = field(default_factory=lambda: defaultdict(list))
    appended: dict[FieldPath, list[str]] = field(default_factory=lambda: defaultdict(list))

    def replace(self, origin: Origin, before: str, text: str) -> None:
        """Put a text where the origin's first piece stands, and remove the others."""
        first, *others = origin.pieces
        raw = self.get(origin.field)[first.start : first.end]
        # Where a part of the sentence became the sheet's text, only that part is replaced.
        at = raw.find(before) if not others else -1
        if at >= 0:
            start = first.start + at
            self.changes[origin.field].append((start, start + len(before), text))
        else:
            self.changes[origin.field].append((first.start, first.end, text))
        self.remove(origin.field, others)

    def remove(self, path: FieldPath, pieces: Iterable[Piece | Example]) -> None:
        """Take pieces out."""
        self.changes[path] += [(piece.start, piece.end, "") for piece in pieces]

    def append(self, path: FieldPath, text: str) -> None:
        """Add a line at the end."""
        self.appended[path].append(text)

    def write(self) -> None:
        """Make the changes."""
        for path in {*self.changes, *self.appended}:
            text = self.get(path)
            for start, end, new in sorted(self.changes[path], reverse=True):
                text = text[:start].rstrip(" ") + text[end:] if not new else text[:start] + new + text[end:]
            text = text.lstrip(" ") if self.changes[path] else text
            added = self.appended[path]
            self._put(path, "\n".join([text.rstrip("\n"), *added] if text.strip() else added) if added else text)

    def get(self, path: FieldPath) -> str:
        """The text as it is until `write`; empty where it is missing or null."""
        value: Any = self.data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else value[key]
        return value or ""

    def _put(self, path: FieldPath, text: str) -> None:
        holder: Any = self.data
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = text


def _identity(texts: _Texts, key: str, before: str, text: str, origin: Origin | None) -> None:
    home, form = _HOME[key]
    if origin is None:
        texts.append((home,), form.format(text))
        return
    piece = origin.pieces[0]
    raw = texts.get(origin.field)[piece.start : piece.end]
    whole = piece.key or before in raw or len(origin.pieces) > 1 or key not in ("role", "register")
    texts.replace(origin, before, text if whole else form.format(text))


def _facts(texts: _Texts, base: Mapping, facts: Sequence[Fact]) -> list[Fact]:
    """Rewrite and remove facts that came from the card; returns those that did not."""
    now = {fact.id: fact for fact in facts}
    before = {fact["id"]: fact["text"] for fact in base.sheet["facts"]}
    for fact_id, origin in base.facts.items():
        if fact_id not in now:
            texts.remove(origin.field, origin.pieces)
        elif now[fact_id].text != before[fact_id]:
            texts.replace(origin, before[fact_id], now[fact_id].text)
    return [fact for fact in facts if fact.id not in base.facts]


def _examples(texts: _Texts, before: Sequence[Example], now: Sequence[VoiceExample]) -> None:
    path: FieldPath = ("mes_example",)
    left = [(one.player, one.character) for one in now]
    gone: list[Example] = []
    for one in before:
        try:
            left.remove((one.player, one.character))
        except ValueError:
            gone.append(one)
    if len(gone) == len(left):
        for one, (player, character) in zip(gone, left, strict=True):
            texts.changes[path].append((one.start, one.end, _exchange(player, character)))
        return
    texts.remove(path, gone)
    for player, character in left:
        texts.append(path, f"<START>\n{_exchange(player, character)}")


def _exchange(player: str | None, character: str) -> str:
    asked = f"{{{{user}}}}: {player}\n" if player else ""
    return f"{asked}{{{{char}}}}: {character}"


def _entries(edited: Card, base: Mapping, sheet: CharacterSheet) -> None:
    """Carry changed tags into entries' keys; drop entries that no fact is left of."""
    raws = dict(edited.entries())
    now = {fact.id: fact for fact in sheet.facts if fact.when is None}
    before = {fact["id"]: set(fact.get("tags", ())) for fact in base.sheet["facts"]}
    dropped: list[FieldPath] = []
    for place, entry in base.entries.items():
        ids = [fact_id for fact_id, origin in base.facts.items() if origin.field == (*place, "content")]
        left = [now[fact_id] for fact_id in ids if fact_id in now]
        if ids and not left:
            dropped.append(place)
            continue
        was = before[ids[0]] if ids else set()
        tags = list(dict.fromkeys(tag for fact in left for tag in fact.tags))
        gone = [entry.texts[tag] for tag in was - set(tags) if tag in entry.texts]
        added = [tag for tag in tags if tag not in was]
        if gone or added:
            name = "key" if "key" in raws[place] and "keys" not in raws[place] else "keys"
            keys = raws[place].get(name) or []
            keys = [part.strip() for part in keys.split(",")] if isinstance(keys, str) else keys
            raws[place][name] = [key for key in keys if str(key) not in gone] + added
    book = edited.data.get(BOOK) or {}
    for *_, key in reversed(dropped):
        del book["entries"][key]


def _append_facts(edited: Card, facts: Sequence[Fact]) -> None:
    """New facts: lorebook entries, their tags as keys; without tags, or in V1, sentences of the description."""
    lines = [fact.text for fact in facts if not fact.tags or edited.version == "v1"]
    entries = [fact for fact in facts if fact.tags and edited.version != "v1"]
    if lines:
        edited.data["description"] = "\n".join(part for part in (edited.text("description"), *lines) if part)
    if not entries:
        return
    book = edited.data.get(BOOK) or {"entries": [], "extensions": {}}
    edited.data[BOOK] = book
    held = book.get("entries") or []
    book["entries"] = held
    order = len(held)
    for number, fact in enumerate(entries, start=order):
        entry = {
            "keys": list(fact.tags),
            "content": fact.text,
            "extensions": {},
            "enabled": True,
            "insertion_order": number,
            "name": fact.id,
            "use_regex": False,
        }
        if isinstance(held, dict):
            held[f"npc-{fact.id}"] = entry
        else:
            held.append(entry)


def _top_level(card: Card, edited: Card) -> None:
    """Some programs write V1's fields beside `data` too; those that said the same go on saying the same."""
    if card.version == "v1":
        return
    for name in V1_FIELDS:
        if name in card.document and card.document[name] == card.data.get(name):
            edited.document[name] = edited.data.get(name)
