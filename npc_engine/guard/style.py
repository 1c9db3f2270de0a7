"""How a text sounds, apart from what it says: length, loudness, slang, contractions, as numbers that can be compared.

Used to see how far a character mirrors the player. Knows texts only. Sources: linguistic style matching by rates of
style words, Niederhoffer and Pennebaker 2002; a moving average and a cap on how far a persona follows its user,
"Navigating the Synchrony-Stability Frontier". The features and their scales are this engine's own, chosen by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from npc_engine.sheets.words import WORD

# What `style` returns, in order; each 0 to 1.
FEATURES = ("length", "exclamations", "capitals", "slang", "contractions")
# Words at which `length` is 1.
LONG_WORDS = 40
# Rates per word at which slang and contractions are 1: every fifth word.
FULL_RATE = 0.2
# Two styles nearer than this (Euclidean) are the same: there is nothing to mirror. Source: one feature a quarter apart.
SAME_STYLE = 0.25
_SLANG = frozenset(
    WORD.findall(
        "ain't bro brb bruh btw cmon cuz dang dude dunno gimme gonna gotta haha hey heya hiya idk imma innit kinda "
        "lemme lmao lol luv m8 nah nope omg pls plz rofl sorta sup thx tho u ur wanna wassup wat wtf ya yall y'all yea "
        "yeah yep yo yup awesome cool crap damn guys ok okay whoa wow"
    )
)
_CONTRACTED = re.compile(r"\w['\u2019](?:s|m|d|t|re|ll|ve)\b", re.IGNORECASE)


def style(text: str) -> NDArray[np.float32]:
    """(5,) float32: the `FEATURES` of a text; zeros where it has no word.

    Exclamations are marks a sentence, capitals the share of words of three letters or more that are all capitals.
    """
    words = WORD.findall(text.replace("\u2019", "'"))
    if not words:
        return np.zeros(len(FEATURES), np.float32)
    num_sentences = max(1, len(re.findall(r"[.!?\u2026]+", text)))
    long_words = [word for word in words if len(word) >= 3 and word.isalpha()]
    values = (
        len(words) / LONG_WORDS,
        text.count("!") / num_sentences,
        sum(word.isupper() for word in long_words) / max(1, len(long_words)),
        sum(word.casefold() in _SLANG for word in words) / len(words) / FULL_RATE,
        len(_CONTRACTED.findall(text)) / len(words) / FULL_RATE,
    )
    return np.minimum(np.array(values, np.float32), 1.0)


def mean_style(texts: Iterable[str]) -> NDArray[np.float32]:
    """(5,) float32: the mean style of texts; zeros without any."""
    styles = [style(text) for text in texts]
    return np.mean(styles, axis=0, dtype=np.float32) if styles else np.zeros(len(FEATURES), np.float32)


def closeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How alike two styles are: 1 the same, 0 as different as they can be."""
    return 1.0 - float(np.linalg.norm(one - other)) / float(len(FEATURES) ** 0.5)


def mirroring(said: NDArray[np.float32], *, own: NDArray[np.float32], player: NDArray[np.float32]) -> float:
    """How far a text has left the character's own style for the player's: 0 not at all, 1 all the way.

    The projection of `said - own` on `player - own`, held to 0 to 1; 0 where the two are the same style
    (`SAME_STYLE`), since then there is nothing to mirror.

    Args:
        said: (5,) style of what the character said.
        own: (5,) style of the sheet's voice examples.
        player: (5,) style of the player's lines.
    """
    way = player - own
    distance = float(way @ way)
    if distance < SAME_STYLE**2:
        return 0.0
    return min(1.0, max(0.0, float((said - own) @ way) / distance))
