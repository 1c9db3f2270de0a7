"""What the model reads in the benchmarks: English made from a seed, cut to an exact number of tokens."""

from __future__ import annotations

import random

from npc_engine.models.tokenizer import ChatTokenizer

_WHO = ("the smith", "the miller", "the ferryman", "a rider from the pass", "the innkeeper", "my brother", "the reeve")
_DID = ("mended", "bought", "lost", "counted", "carried", "hid", "asked for", "would not sell", "forgot", "paid for")
_WHAT = ("forty spearheads", "the old bell", "a sack of salt", "three lanterns", "the grey mare", "a map of the river")
_WHEN = ("before the first snow", "on market day", "last autumn", "in the year of the flood", "at dusk", "long ago")
_WHY = ("because the road was closed", "and nobody knew why", "though it was raining", "for six crowns", "for a bet")
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"


class Texts:
    """Token sequences from one seed; equal calls of equal seeds give equal ids."""

    def __init__(self, tokenizer: ChatTokenizer, *, seed: int) -> None:
        self._tokenizer = tokenizer
        self._seed = seed

    def ids(self, name: str, num_tokens: int) -> list[int]:
        """Exactly so many ids of prose that belongs to this name."""
        words = random.Random(f"{self._seed}/{name}")
        text = f"{name.capitalize()} says:"
        while True:
            ids = self._tokenizer.encode(text)
            if len(ids) >= num_tokens:
                return ids[:num_tokens]
            text += "".join(f" {_sentence(words)}" for _ in range(max(1, (num_tokens - len(ids)) // 12)))

    def system(self, name: str, num_tokens: int) -> list[int]:
        """A system message of about so many ids that makes a character of this name."""
        words = random.Random(f"{self._seed}/{name}")
        text = f"You are {name}, a villager. Answer in one short sentence."
        while len(ids := self._tokenizer.encode_message("system", text)) < num_tokens:
            text += f" {_sentence(words)}"
        return ids

    def secrets(self, count: int) -> list[str]:
        """So many made-up words, all different."""
        words = random.Random(f"{self._seed}/secrets")
        found: dict[str, None] = {}
        while len(found) < count:
            found["".join(words.choice(_CONSONANTS) + words.choice(_VOWELS) for _ in range(3))] = None
        return list(found)


def _sentence(words: random.Random) -> str:
    parts = [words.choice(choices) for choices in (_WHO, _DID, _WHAT, _WHEN, _WHY)]
    return f"{parts[0].capitalize()} {' '.join(parts[1:])}."
