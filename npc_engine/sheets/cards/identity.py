"""Choose, among the pieces of a card's prose, those that say who the character is; the rest are facts.

Rules of thumb over words. Whatever they miss, the import's report says so, and a neutral sentence stands in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from npc_engine.sheets.cards.prose import Piece
from npc_engine.sheets.fields import MAX_NOTE_CHARS, MAX_PROSE_CHARS

_ROLE_KEYS = re.compile(r"(?:occupation|role|job|profession|trade|class|title|work)s?", re.IGNORECASE)
_REGISTER_KEYS = re.compile(r"(?:speech|speaks?|voice|tone|accent|speech pattern|speaking style)", re.IGNORECASE)
_ROLE = re.compile(r"(?:is|was|works as|serves as)\s+(?:an?|the)\s+(?P<role>[^\n]{3,})")
_SOCIAL = re.compile(
    r"\b(?:famil|mother|father|parent|sister|brother|daughter|son\b|wife|husband|widow|married|friend|guild|village|"
    r"town|noble|lord|lady|king|queen|clan|tribe|known (?:as|for)|respect|reputation|people|everyone|member|leader|"
    r"rank|born|raised|orphan)",
    re.IGNORECASE,
)
_PERSONAL = re.compile(
    r"\b(?:likes?|loves?|hates?|fears?|afraid|proud|values?|believes?|dreams?|wants?|hopes?|kind|gentle|stubborn|shy|"
    r"bold|calm|cheerful|cold|honest|loyal|curious|temper|cannot bear|enjoys?|dislikes?|personality)\b",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"\b(?:secret|secretly|nobody knows|no one knows|hidden|hides|unknown to)\b", re.IGNORECASE)
# What is in every prompt is paid for on every turn: a few sentences.
MAX_SENTENCES = 3
MAX_SOCIAL_CHARS = 400


@dataclass(frozen=True)
class Part:
    """One text of the sheet's identity, and the pieces it is made of."""

    text: str
    pieces: tuple[Piece, ...]


def speaks_of_a_secret(text: str) -> bool:
    """Whether a sentence sounds as if not everybody may hear it."""
    return bool(_HIDDEN.search(text))


def find_role(prose: Sequence[Piece], name: str) -> Part | None:
    """Trade and place, from an attribute or from "Mira is a ferrywoman"; None where neither is there."""
    for piece in prose:
        if _ROLE_KEYS.fullmatch(piece.key) and len(piece.text) <= MAX_NOTE_CHARS:
            return Part(piece.text.rstrip("."), (piece,))
    subjects = {name.lower(), name.split()[0].lower(), "she", "he", "they"}
    for piece in prose[:4]:
        for subject in sorted(subjects, key=len, reverse=True):
            if not piece.key and piece.text.lower().startswith(subject + " "):
                found = _ROLE.fullmatch(piece.text[len(subject) + 1 :])
                if found and len(role := found["role"].rstrip(".!… ")) <= MAX_NOTE_CHARS:
                    return Part(role, (piece,))
    return None


def find_register(prose: Sequence[Piece]) -> Part | None:
    """Manner of speech, where an attribute says it."""
    for piece in prose:
        if _REGISTER_KEYS.fullmatch(piece.key) and len(piece.text) <= MAX_NOTE_CHARS:
            return Part(piece.text.rstrip("."), (piece,))
    return None


def find_social(prose: Sequence[Piece]) -> Part | None:
    """Sentences about standing, family and groups; else the first sentence."""
    return _some(prose, lambda piece: bool(_SOCIAL.search(piece.text)), MAX_SOCIAL_CHARS) or _some(
        prose[:1], lambda piece: True, MAX_SOCIAL_CHARS
    )


def find_personal(prose: Sequence[Piece]) -> Part | None:
    """Sentences about what the character likes, fears and is like."""
    return _some(prose, lambda piece: bool(_PERSONAL.search(piece.text)), MAX_SOCIAL_CHARS)


def opening(prose: Sequence[Piece]) -> Part | None:
    """As many pieces from the start as fit MAX_PROSE_CHARS."""
    return _some(prose, lambda piece: True, MAX_PROSE_CHARS, most=len(prose), is_run=True)


def _some(
    prose: Sequence[Piece],
    wanted: Callable[[Piece], bool],
    max_chars: int,
    *,
    most: int = MAX_SENTENCES,
    is_run: bool = False,
) -> Part | None:
    chosen: list[Piece] = []
    for piece in prose:
        fits = len(_joined([*chosen, piece])) <= max_chars and len(chosen) < most
        if is_run and not fits:
            break
        if fits and (is_run or not piece.key) and wanted(piece) and not speaks_of_a_secret(piece.text):
            chosen.append(piece)
    return Part(_joined(chosen), tuple(chosen)) if chosen else None


def _joined(chosen: Sequence[Piece]) -> str:
    said = [f"{piece.key}: {piece.text}" if piece.key else piece.text for piece in chosen]
    ended = [text if text[-1] in ".!?…。！？\"”'’)" else f"{text}." for text in said]
    return " ".join(ended)
