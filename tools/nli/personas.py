"""Pairs from persona texts: what a character says of itself, affirmed, denied, told of in the third person.

The persona's other sentences are the neutral premises: the same speaker, another matter.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.nli.pairs import Label, Pair
from tools.nli.surface import flavoured, third_person

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_DENIED = re.compile(r"\b(not|never|no|n't|nothing|nobody|don't|can't|won't|isn't|cannot|hardly|but|if|unless)\b")
_VERBS = (
    "love like enjoy hate live work want need know have own play believe eat drink spend serve keep feel hope sell rule"
    " wear trust fear make wish miss protect follow prefer help dream travel collect sleep teach study"
).split()


@dataclass(frozen=True)
class Persona:
    """The sentences of one persona, and their licence."""

    sentences: tuple[str, ...]
    licence: str


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text that state something, each of 4 to 20 words."""
    found = [part.strip() for part in _SENTENCE.split(" ".join(text.split()))]
    return tuple(
        part if part.endswith(".") else f"{part}."
        for part in found
        if 4 <= len(part.split()) <= 20 and not part.endswith(("?", "!")) and part[0].isupper()
    )


def denied(sentence: str, rng: random.Random) -> str | None:
    """The sentence denied; None where it is denied already, or where it is not plain what a denial would be."""
    if _DENIED.search(sentence):
        return None
    for pattern, forms in _DENIALS:
        match = pattern.match(sentence)
        if match:
            form = rng.choice(forms)
            return form + sentence[match.end() :]
    return None


_DENIALS: list[tuple[re.Pattern[str], tuple[str, ...]]] = [
    (re.compile(r"^I am (?=a|an|the|\w)"), ("I am not ", "I'm not ")),
    (re.compile(r"^I'm "), ("I'm not ", "I am not ")),
    (re.compile(r"^I was "), ("I was not ", "I was never ")),
    (re.compile(r"^I have been "), ("I have never been ",)),
    (re.compile(r"^I have (?:a|an|many|two|three|some|lots of|several) "), ("I have no ", "I don't have any ")),
    (re.compile(r"^I can "), ("I cannot ", "I can't ")),
    (re.compile(r"^I will "), ("I will not ", "I won't ", "I will never ")),
    (re.compile(r"^I (?:really |truly )?(?:love|like|enjoy|adore) "), ("I hate ", "I don't like ", "I can't stand ")),
    (re.compile(r"^I (?:really )?hate "), ("I love ", "I don't mind ")),
    (re.compile(r"^I always "), ("I never ",)),
    *[(re.compile(rf"^I {verb} "), (f"I don't {verb} ", f"I never {verb} ", f"I do not {verb} ")) for verb in _VERBS],
]


_SAME: list[tuple[re.Pattern[str], tuple[str, ...]]] = [
    (re.compile(r"^I (?:love|adore) (?=\w)"), ("I am very fond of ", "I really love ")),
    (re.compile(r"^I like (?!to)"), ("I enjoy ", "I am fond of ", "I take pleasure in ")),
    (re.compile(r"^I (?:like|love) to "), ("It pleases me to ", "I enjoy it when I can ")),
    (re.compile(r"^I hate (?!to)"), ("I can't stand ", "I detest ", "I have no love for ")),
    (re.compile(r"^I (?:don't|do not) like (?!to)"), ("I do not care for ", "I have no liking for ", "I dislike ")),
    (re.compile(r"^I can't stand (?!to)"), ("I hate ", "I loathe ")),
    (re.compile(r"^I live in "), ("My home is in ", "I dwell in ", "I reside in ")),
    (re.compile(r"^I have (?=a |an |two |three )"), ("I own ", "I've got ", "I possess ")),
    (re.compile(r"^I have no "), ("I haven't got any ", "I am without any ")),
    (re.compile(r"^I work (?=as|at|in|for)"), ("I have work ", "I am employed ", "I earn my living ")),
    (re.compile(r"^(?:I am|I'm) not "), ("I'm by no means ", "It isn't so that I'm ", "I am not ")),
    (re.compile(r"^(?:I am|I'm) (?=a |an )"), ("They call me ", "You are talking to ", "What I am is ")),
    (re.compile(r"^I am "), ("I'm ", "It is true that I am ")),
    (re.compile(r"^I can "), ("I am able to ", "I know how to ")),
    (re.compile(r"^I (?:cannot|can't) "), ("I am unable to ", "I am not able to ")),
    (re.compile(r"^I (?:want|wish) to "), ("I would like to ", "It is my wish to ")),
    (re.compile(r"^I (?:will never|won't|will not) "), ("I shall not ", "I am not going to ")),
    (re.compile(r"^I (?=[a-z]+ )"), ("I do say that I ", "It's a fact that I ", "I tell you, I ")),
]


def rephrased(sentence: str, rng: random.Random) -> str:
    """The sentence with another opening that means the same; unchanged where none fits."""
    for pattern, forms in _SAME:
        match = pattern.match(sentence)
        if match:
            return rng.choice(forms) + sentence[match.end() :]
    return sentence


def threes(personas: Sequence[Persona], count: int, *, seed: int, source: str) -> Iterator[Pair]:
    """At least `count` pairs, in threes of one hypothesis, as far as the personas go round."""
    rng, made = random.Random(f"{source}:{seed}"), 0
    anchors = [(persona, sentence) for persona in personas for sentence in persona.sentences] * 2
    rng.shuffle(anchors)
    for persona, sentence in anchors:
        if made >= count:
            return
        opposite = denied(sentence, rng)
        others = [other for other in persona.sentences if other != sentence]
        if opposite is None or not others:
            continue
        hypothesis, against = (sentence, opposite) if rng.random() < 0.5 else (opposite, sentence)
        if rng.random() < 0.3:
            others = [rng.choice(rng.choice(personas).sentences)]
        context = rng.random() < 0.35
        told = rng.choice(("he", "she")) if rng.random() < 0.25 else None
        spoken = flavoured(hypothesis, rng)
        spoken = (told and third_person(spoken, told)) or spoken
        cases: tuple[tuple[str, Label], ...] = (
            (hypothesis, "entailment"),
            (rng.choice(others), "neutral"),
            (against, "contradiction"),
        )
        for premise, label in cases:
            if rng.random() < 0.65:
                premise = rephrased(premise, rng)
            if context and label != "neutral":
                around = [rng.choice(others), premise]
                rng.shuffle(around)
                premise = " ".join(around)
            elif context:
                premise = " ".join(rng.sample(others, min(2, len(others))))
            if told and rng.random() < 0.5:
                premise = third_person(premise, told) or premise
            yield Pair(premise, spoken, label, source, persona.licence)
            made += 1
