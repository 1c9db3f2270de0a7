"""Made-up facts and what may be said of them: prices, names, kin, trades, places, likes, skills.

The sentences are in frames.toml, the values in values.toml.

Every hypothesis that is drawn is given to three premises: one that bears it out, one that says nothing of it, one that
rules it out. The hypothesis alone therefore says nothing of the label.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.nli.pairs import Label, Pair
from tools.nli.surface import articles, capital, flavoured, lowered, third_person

LICENCE = "own text"
NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
)
TENS = {20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety"}
_HERE = Path(__file__).parent


def spelled(number: int) -> str:
    """A number below a hundred in words, others in digits."""
    if number < len(NUMBERS):
        return NUMBERS[number]
    if number < 20:
        return {17: "seventeen", 18: "eighteen", 19: "nineteen"}[number]
    if number < 100:
        tens, ones = number // 10 * 10, number % 10
        return TENS[tens] + (f"-{NUMBERS[ones]}" if ones else "")
    return str(number)


@dataclass(frozen=True)
class Value:
    """A value in two spellings that mean the same; `key` decides whether two values are the same."""

    key: str
    text: str
    other: str

    def said(self, rng: random.Random) -> str:
        """One of its spellings."""
        return self.other if rng.random() < 0.35 else self.text


def plain(text: str) -> Value:
    return Value(text, text, text)


class Facts:
    """Draws pairs about made-up facts; a function of the seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"facts:{seed}")
        self._frames = tomllib.loads((_HERE / "frames.toml").read_text(encoding="utf-8"))
        self._values: dict[str, list[str]] = tomllib.loads((_HERE / "values.toml").read_text(encoding="utf-8"))

    def pairs(self, count: int) -> Iterator[Pair]:
        """At least `count` pairs, in threes."""
        made = 0
        while made < count:
            if self._rng.random() < 0.6:
                three = list(self._functional(self._rng.choice(self._frames["functional"])))
            else:
                three = list(self._polar(self._rng.choice(self._frames["polar"])))
            made += len(three)
            yield from three

    # --- values

    def _number(self, low: int, high: int, unit: str = "") -> Value:
        number = self._rng.randint(low, high)
        unit = f" {unit}" if unit else ""
        if number == 1:
            unit = unit.removesuffix("s")
        return Value(f"{number}{unit}", f"{number}{unit}", f"{spelled(number)}{unit}")

    def _value(self, slot: str) -> Value:
        rng = self._rng
        if slot == "price":
            return self._number(1, 99, rng.choice(self._values["coin"]))
        if slot == "age":
            return self._number(14, 90)
        if slot == "count":
            return self._number(2, 16)
        if slot == "years":
            return self._number(2, 30, "years")
        if slot == "span":
            return self._number(2, 12, rng.choice(["days", "weeks", "hours", "months"]))
        if slot == "way":
            unit = rng.choice(["miles", "leagues", "days' walk", "hours' ride"])
            return self._number(2, 30, unit)
        if slot == "place":
            return plain(rng.choice(self._values["place_start"]) + rng.choice(self._values["place_end"]))
        if slot == "name":
            name = rng.choice(self._values["first_name"])
            return plain(name if rng.random() < 0.7 else f"{name} {rng.choice(self._values['last_name'])}")
        return plain(rng.choice(self._values[slot]))

    def _other(self, slot: str, value: Value) -> Value:
        """A value that excludes the first: more often than not of its unit or near it, for those are the hard ones."""
        amount, _, unit = value.text.partition(" ")
        for _ in range(50):
            drawn = self._value(slot)
            if amount.isdigit() and unit and self._rng.random() < 0.8:
                number = drawn.text.split(" ")[0]
                if number != "1" and amount != "1":
                    drawn = Value(f"{number} {unit}", f"{number} {unit}", f"{spelled(int(number))} {unit}")
            if drawn.key != value.key and not _overlap(drawn.key, value.key):
                return drawn
        raise ValueError(f"values.toml: {slot} has one value only")

    # --- pairs

    def _functional(self, frame: dict[str, Any]) -> Iterator[Pair]:
        rng = self._rng
        key = self._value(frame["key"]) if "key" in frame else plain("")
        value = self._value(frame["value"])
        other = self._other(frame["value"], value)
        hypothesis_form = rng.choice(frame["say"])
        ask = rng.choice(frame["ask"])
        draw = rng.random()
        if draw < 0.72:
            hypothesis = _fill(hypothesis_form, key, value, rng)
            supports = _fill(rng.choice(frame["say"]), key, value, rng)
            denies = _fill(rng.choice(frame["say"]), key, other, rng)
            if frame["deny"] and rng.random() < 0.2:
                denies = _fill(rng.choice(frame["deny"]), key, value, rng)
        elif draw < 0.86:
            # A question and its answer as one hypothesis.
            yes = rng.random() < 0.5
            hypothesis = f"{_fill(ask, key, value, rng)} {_answer(yes, rng)}"
            right, wrong = (
                _fill(rng.choice(frame["say"]), key, value, rng),
                _fill(rng.choice(frame["say"]), key, other, rng),
            )
            supports, denies = (right, wrong) if yes else (wrong, right)
        elif frame["deny"] and draw < 0.94:
            hypothesis = _fill(rng.choice(frame["deny"]), key, value, rng)
            supports = _fill(rng.choice(frame["deny"]), key, value, rng) if len(frame["deny"]) == 1 else hypothesis
            denies = _fill(rng.choice(frame["say"]), key, value, rng)
            if "{v}" in "".join(frame["deny"]):
                supports = hypothesis
        else:
            said = _fill(hypothesis_form, key, value, rng)
            hypothesis = f"It is not true that {lowered(said)}"
            supports = _fill(rng.choice(frame["say"]), key, other, rng)
            denies = _fill(rng.choice(frame["say"]), key, value, rng)
        neutral = self._says_nothing(frame, key, value)
        yield from self._three(hypothesis, supports, neutral, denies, f"gen_{frame['name']}")

    def _says_nothing(self, frame: dict[str, Any], key: Value, value: Value) -> str:
        """The same frame with another key, the same key without a value, or another frame."""
        rng, draw = self._rng, self._rng.random()
        if "key" in frame and draw < 0.4:
            other_key = self._other(frame["key"], key)
            about = value if rng.random() < 0.6 else self._other(frame["value"], value)
            return _fill(rng.choice(frame["say"]), other_key, about, rng)
        if draw < 0.85:
            return _fill(rng.choice(frame["vague"]), key, value, rng)
        return self._unrelated(frame["name"])

    def _unrelated(self, name: str) -> str:
        rng = self._rng
        frame = rng.choice([frame for frame in self._frames["functional"] if frame["name"] != name])
        key = self._value(frame["key"]) if "key" in frame else plain("")
        return _fill(rng.choice(frame["say"]), key, self._value(frame["value"]), rng)

    def _polar(self, frame: dict[str, Any]) -> Iterator[Pair]:
        rng, slot = self._rng, self._frame_slot(frame)
        value = self._value(slot)
        yes = rng.random() < 0.5
        same, opposite = ("yes", "no") if yes else ("no", "yes")
        more = _fill(rng.choice(frame["more"]), plain(""), value, rng) if yes and "more" in frame else None
        if more is not None and rng.random() < 0.3:
            says_less = _fill(rng.choice(frame["yes"]), plain(""), value, rng)
            denial = _fill(rng.choice(frame["no"]), plain(""), value, rng)
            yield from self._three(more, more, says_less, denial, f"gen_{frame['name']}")
            return
        if rng.random() < 0.75:
            hypothesis = _fill(rng.choice(frame[same]), plain(""), value, rng)
        else:
            hypothesis = f"{_fill(rng.choice(frame['ask']), plain(''), value, rng)} {_answer(yes, rng)}"
        supports = _fill(rng.choice(frame[same]), plain(""), value, rng)
        if more is not None and rng.random() < 0.25:
            supports = more
        denies = _fill(rng.choice(frame[opposite]), plain(""), value, rng)
        draw = rng.random()
        if draw < 0.45:
            side = rng.choice(("yes", "no"))
            neutral = _fill(rng.choice(frame[side]), plain(""), self._other(slot, value), rng)
        elif draw < 0.85:
            neutral = _fill(rng.choice(frame["mention"]), plain(""), value, rng)
        else:
            neutral = self._unrelated(frame["name"])
        yield from self._three(hypothesis, supports, neutral, denies, f"gen_{frame['name']}")

    @staticmethod
    def _frame_slot(frame: dict[str, Any]) -> str:
        return str(frame["object"])

    def _three(self, hypothesis: str, supports: str, neutral: str, denies: str, source: str) -> Iterator[Pair]:
        rng = self._rng
        spoken = flavoured(hypothesis, rng)
        he = rng.choice(("he", "she"))
        shifted = third_person(spoken, he) if rng.random() < 0.15 else None
        named = rng.choice(self._values["first_name"]) if rng.random() < 0.2 else None
        labelled: tuple[tuple[str, Label], ...] = (
            (supports, "entailment"),
            (neutral, "neutral"),
            (denies, "contradiction"),
        )
        for premise, label in labelled:
            told = None
            if shifted is not None and rng.random() < 0.5:
                told = third_person(premise, he)
            elif named is not None:
                told = f"{named}: {premise}"
            if rng.random() < 0.12:
                premise = (
                    f"{premise} {self._unrelated('')}" if rng.random() < 0.5 else f"{self._unrelated('')} {premise}"
                )
                told = None
            yield Pair(articles(told or premise), articles(shifted or spoken), label, source, LICENCE)


def _overlap(first: str, second: str) -> bool:
    """Whether one value may include the other, by its words (`gold` and `golden`, `a cook` and `cooking`)."""
    left, right = set(first.lower().split()), set(second.lower().split())
    return left <= right or right <= left


def _fill(form: str, key: Value, value: Value, rng: random.Random) -> str:
    said, key_said = value.said(rng), key.text
    text = form.replace("{K}", capital(key_said)).replace("{k}", key_said)
    text = text.replace("{w}", capital(said)).replace("{v}", said)
    return capital(text)


YES = ("Yes.", "Aye.", "Yes, that's right.", "Of course.", "Indeed.", "That is so.", "Certainly.", "Yes, it's true.")
NO = ("No.", "Nay.", "No, not at all.", "Of course not.", "Not so.", "Certainly not.", "No, that's wrong.", "Never.")


def _answer(yes: bool, rng: random.Random) -> str:
    return rng.choice(YES if yes else NO)
