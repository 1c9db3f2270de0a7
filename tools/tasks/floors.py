"""What a program without a model reaches: a fixed reply and no call, and the nearest remembered line's call and reply.

A figure of the engine that is not above these says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npc_engine.dialogue.lexical import terms
from tools.tasks.calls import Call
from tools.tasks.cpdc import Episode

FIXED_REPLY = "I see. Is there anything you would like to know?"


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a floor does in a turn."""

    calls: tuple[Call, ...]
    reply: str


def fixed() -> Guess:
    """No call, one reply."""
    return Guess(calls=(), reply=FIXED_REPLY)


class Neighbours:
    """The nearest remembered line by TF-IDF cosine, with its calls carried over to the world at hand.

    A call is carried over to the declared function with the most words of its name in common; its arguments are kept
    where the function has them, an argument that names an item gets the item that was named last, and a call without
    any function in common is dropped.

    Args:
        memory: Dialogues to remember.
    """

    def __init__(self, memory: Iterable[Episode]) -> None:
        self._turns = [(episode, turn) for episode in memory for turn in episode.turns]
        documents = [Counter(terms(turn.line)) for _, turn in self._turns]
        num_with = Counter(word for document in documents for word in document)
        self._words = {word: place for place, word in enumerate(num_with)}
        counts = np.array([num_with[word] for word in self._words], np.float64)
        self._idf = np.log((1 + len(documents)) / (1 + counts)) + 1
        self._vectors = np.stack([self._vector(document) for document in documents])

    def guess(self, episode: Episode, number: int, *, leave_out: str | None = None) -> Guess:
        """What the nearest line's character did.

        Args:
            episode: The dialogue at hand.
            number: Of the turn.
            leave_out: Id of a dialogue that is not to be looked at: the one at hand, where it is remembered too.
        """
        turn = episode.turns[number]
        cosines = self._vectors @ self._vector(Counter(terms(turn.line)))
        allowed = np.array([one.id != leave_out for one, _ in self._turns])
        nearest = int(np.where(allowed, cosines, -1.0).argmax())
        source, found = self._turns[nearest]
        item = last_named(episode, number)
        calls = [_carried(call, source.items, episode.functions, item) for call in found.calls]
        return Guess(calls=tuple(call for call in calls if call is not None), reply=found.reply)

    def _vector(self, document: Mapping[str, int]) -> NDArray[np.float64]:
        """(n_words,) float64 of unit length; zeros where no word is known."""
        vector = np.zeros(len(self._words))
        for word, count in document.items():
            if word in self._words:
                place = self._words[word]
                vector[place] = count * self._idf[place]
        norm = np.linalg.norm(vector)
        return vector / norm if norm else vector


def last_named(episode: Episode, number: int) -> str | None:
    """The item of the world that was named last, in the line or before it."""
    texts = [text for turn in episode.turns[:number] for text in (turn.line, turn.reply)]
    for text in reversed([*texts, episode.turns[number].line]):
        plain = text.casefold()
        places = {item["name"]: plain.rfind(item["name"].casefold()) for item in episode.items if item["name"]}
        named = [name for name, place in places.items() if place >= 0]
        if named:
            return max(named, key=lambda name: (places[name], len(name)))
    return None


def _carried(
    call: Call, source_items: Sequence[Mapping[str, str]], functions: Sequence[Mapping[str, Any]], item: str | None
) -> Call | None:
    parts = set(call.name.split("_"))
    scored = [(len(parts & set(one["name"].split("_"))), one["name"] == call.name, one) for one in functions]
    common, _, function = max(scored, key=lambda each: each[:2], default=(0, False, None))
    if not common or function is None:
        return None
    properties = (function.get("parameters") or {}).get("properties") or {}
    names = {one["name"].casefold() for one in source_items}
    arguments: dict[str, Any] = {}
    for key, value in call.arguments.items():
        one = value[0] if isinstance(value, list) and value else value
        if isinstance(one, str) and one.casefold() in names:
            target = key if key in properties else next((name for name in properties if name.endswith("name")), None)
            target = target or next((name for name in properties if name.endswith("names")), None)
            if target and item:
                arguments[target] = [item] if properties[target].get("type") == "array" else item
        elif key in properties:
            arguments[key] = value
    return Call(name=function["name"], arguments=arguments)
