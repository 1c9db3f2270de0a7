"""`Key: value` lines about the character as sentences: "I am 26 years old." for `Age: 26`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from npc_engine.sheets.extract.cutting import MAX_WORDS, shortened
from npc_engine.sheets.extract.names import Character
from npc_engine.sheets.extract.person import Said, say
from npc_engine.sheets.extract.verbs import COMMON, base_of, is_past

NAME_KEYS = frozenset(("name", "full name", "character", "nickname"))
ROLE_KEYS = frozenset(("occupation", "profession", "job", "role", "trade", "class", "title", "position"))
_TRAIT_KEYS = frozenset(("personality", "personality traits", "traits", "character traits", "temperament", "nature"))
_LIKE_KEYS = {"likes": "like", "loves": "love", "hates": "hate", "dislikes": "dislike", "fears": "fear"}
_HOME_KEYS = frozenset(("home", "residence", "lives in", "location", "address"))
_BIRTH_KEYS = frozenset(("birthplace", "born in", "place of birth", "hometown", "origin"))
_SENTENCE = re.compile(r"[.;!?]\s|\b(?:he|she|they|his|her|their|him|is|are|was|were|has|often)\b", re.IGNORECASE)
_LANGUAGE_KEYS = frozenset(("languages", "language"))


def from_attribute(character: Character, key: str, value: str) -> Iterator[Said]:
    """What an attribute says where its value is no sentence of its own; at most one."""
    value = value.strip(" .;,")
    word = key.lower()
    if word in NAME_KEYS or not value:
        return
    text = _worded(word, value)
    if text is None:
        first = value.split()[0].lower()
        # "Grew up in a small town.", "Grew" with a capital because it begins the value.
        if is_past(first) or (base_of(first) and len(value.split()) > 2):
            yield from say(character, value[:1].lower() + value[1:])
            return
        plural = word.endswith("s") and not word.endswith("ss")
        if not re.fullmatch(r"[a-z][a-z' -]*", word) or len(value.split()) > MAX_WORDS or _is_sentence(value):
            return
        text = f"My {word} {'are' if plural else 'is'} {_lowered(value)}"
    told = shortened(text)
    if told is not None:
        yield Said(f"{told.rstrip(' .')}.", f"{character.name}'s {word}: {value}.", "")


def _worded(word: str, value: str) -> str | None:
    if word == "age":
        return f"I am {value} years old" if value.isdecimal() else f"I am {value}"
    if word in ROLE_KEYS and not _is_sentence(value):
        return f"I am {with_article(_lowered(value))}"
    if word in _TRAIT_KEYS and not re.search(r"[.;!?]\s|^(?:he|she|they)\b", value, re.IGNORECASE):
        parts = [part.strip() for part in re.split(r",\s*(?:and\s+)?|\sand\s", value) if part.strip()]
        adjectives = list(takewhile(lambda part: _is_adjective(part), parts))
        return f"I am {_listed([_lowered(part) for part in adjectives])}" if adjectives else None
    if word in _LIKE_KEYS:
        return f"I {_LIKE_KEYS[word]} {_lowered(value)}"
    if word in _HOME_KEYS:
        return f"I live in {value}"
    if word in _BIRTH_KEYS:
        return f"I was born in {value}" if "birth" in word or "born" in word else f"I come from {value}"
    if word in _LANGUAGE_KEYS and len(value.split()) <= 8:
        return f"I speak {value}"
    return None


def with_article(noun: str) -> str:
    """A noun phrase with its article."""
    if re.match(r"(?:a|an|the|one|my|his|her|its|their)\s", noun, re.IGNORECASE):
        return noun
    return f"{'an' if noun[:1].lower() in 'aeio' else 'a'} {noun}"


def _is_adjective(part: str) -> bool:
    return len(part.split()) <= 3 and not any(base_of(word.lower()) in COMMON for word in part.split())


def _is_sentence(value: str) -> bool:
    return bool(
        re.search(r"[.;!?]\s|\b(?:he|she|they|his|her|their|him|is|are|was|were|has|often)\b", value, re.IGNORECASE)
    )


def _lowered(value: str) -> str:
    """Without the capital that only the line's beginning gave it."""
    first = value.split()[0]
    if len(first) > 1 and (first[1:] != first[1:].lower() or not first.isalpha()):
        return value
    # A name keeps its capital: so does a value of several capitalised words.
    words = [word for word in value.split() if word[:1].isalpha() and len(word) > 3]
    if len(words) > 1 and all(word[:1].isupper() for word in words):
        return value
    return value[:1].lower() + value[1:]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
