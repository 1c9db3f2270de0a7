"""One word of a sentence exchanged: for one that excludes it, one that means the same, one that is broader or narrower.

Captions describe one scene, so that another colour, number or animal in the same sentence contradicts (the reading
under which SNLI was annotated: Bowman et al. 2015, section 2.1). Statements about what somebody has or likes do not:
whoever has a dog may have a cat. `of_likes` makes those neutral.

Never reads Breaking-NLI: the groups here are written by hand and from WordNet, the sentences come from other sets.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.nli.pairs import Label, Pair
from tools.nli.surface import articles
from tools.nli.wordnet import Lexicon

_HERE = Path(__file__).parent
_LIKES = re.compile(
    r"^I (?:really |also )?(?:like|love|have|enjoy|own|play|eat|hate|drink|grow|want|collect|raise|sell)\b"
)
_EXISTENTIAL = ("animal", "animals", "instrument", "sport", "drink", "fruit", "vegetable", "vehicle", "bird")
ADDITIONS = (
    "in the rain",
    "for the first time",
    "with an old friend",
    "before going home",
    "because it is a holiday",
    "to win a bet",
    "while thinking about home",
    "on the way to a wedding",
    "after a long argument",
    "for money",
    "as a surprise",
    "to please a sick child",
    "for the third time this week",
)

COMMON = frozenset(
    "man woman boy girl men women two people young three with without old gentleman lady male female".split()
)
COMMON_KEPT = 0.08
OPPOSITES = 0.3
REUSE = 8


@dataclass(frozen=True)
class Sentence:
    """A sentence to swap in, and its licence."""

    text: str
    licence: str


class Swaps:
    """Draws pairs by exchanging words; a function of the seed, the lexicon and the sentences."""

    def __init__(self, lexicon: Lexicon, *, seed: int) -> None:
        self._rng = random.Random(f"swaps:{seed}")
        groups = tomllib.loads((_HERE / "groups.toml").read_text(encoding="utf-8"))
        tables = tomllib.loads((_HERE / "opposites.toml").read_text(encoding="utf-8"))
        self._groups = groups
        self._group_of: dict[str, list[str]] = {}
        for name, group in groups.items():
            for word in group["words"]:
                self._group_of.setdefault(word, []).append(name)
        unclear = set(tables["unclear"])
        self._opposites = {word: set(others) for word, others in lexicon.opposites.items() if word not in unclear}
        self._synonyms: dict[str, set[str]] = {}
        for one, other in tables["opposites"]:
            self._opposites.setdefault(one, set()).add(other)
            self._opposites.setdefault(other, set()).add(one)
        for one, other in tables["synonyms"]:
            self._synonyms.setdefault(one, set()).add(other)
            self._synonyms.setdefault(other, set()).add(one)
        self._weak_synonyms = {
            word: {other for other in others if other.isalpha()}
            for word, others in lexicon.synonyms.items()
            if word not in unclear and not word.endswith("ing")
        }

    # --- one sentence

    def exclusive(self, text: str) -> list[tuple[str, str, str]]:
        """(word, the word that excludes it, group or `opposite`) for each exchange the sentence allows."""
        words = _words(text)
        found = []
        for word in dict.fromkeys(words):
            if words.count(word) > 1:
                continue
            for name in self._group_of.get(word, ()):
                members = self._groups[name]["words"]
                if sum(member in words for member in members) > 1:
                    continue
                found.append((word, self._another(name, word), name))
            opposites = sorted(self._opposites.get(word, ()))
            found.extend((word, other, "opposite") for other in opposites if not set(other.split()) & set(words))
        return found

    def reworded(self, text: str) -> str:
        """The sentence with a word for one that means the same, where it has one; else the sentence."""
        words = _words(text)
        choices = [(word, other) for word in words for other in sorted(self._synonyms.get(word, ()))]
        if not choices or self._rng.random() < 0.15:
            choices = [
                (word, other) for word in words for other in sorted(self._weak_synonyms.get(word, ()))
            ] or choices
        if not choices:
            return text
        return replaced(text, *self._rng.choice(choices))

    # --- pairs

    def of_captions(self, sentences: Sequence[Sentence], count: int) -> Iterator[Pair]:
        """About `count` pairs from captions: `OPPOSITES` of them by opposites, the rest spread over the groups.

        Words of rare groups (planets, vegetables) are in few captions, which are then used up to `REUSE` times.
        """
        rng = self._rng
        by_group: dict[str, list[tuple[Sentence, str, str]]] = {}
        for sentence in sentences:
            for word, other, group in self.exclusive(sentence.text):
                if rng.random() < (COMMON_KEPT if word in COMMON else 1.0):
                    by_group.setdefault(group, []).append((sentence, word, other))
        each = count * (1 - OPPOSITES) / max(1, len(by_group) - 1)
        made: list[Pair] = []
        for group in sorted(by_group):
            found = by_group[group]
            wanted, used = (count * OPPOSITES if group == "opposite" else each), 0
            for _ in range(REUSE):
                rng.shuffle(found)
                for sentence, word, other in found:
                    if used >= wanted:
                        break
                    if group != "opposite":
                        other = self._another(group, word)
                    changed = articles(replaced(sentence.text, word, other))
                    for premise, hypothesis, label in self._threes(sentence.text, changed, word, other, group):
                        if rng.random() < 0.3:
                            premise = articles(self.reworded(premise))
                        made.append(Pair(premise, hypothesis, label, f"gen_swap_{group}", sentence.licence))
                        used += 1
        yield from made

    def _another(self, group: str, word: str) -> str:
        same = next((names for names in self._groups[group].get("same", ()) if word in names), [word])
        return self._rng.choice([member for member in self._groups[group]["words"] if member not in same])

    def _weighted(self, choices: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
        """One exchange; commonplace ones (man for woman, a number for another) less often than the rest."""
        return self._rng.choices(choices, [COMMON_KEPT if word in COMMON else 1.0 for word, _, _ in choices])[0]

    def _threes(self, text: str, changed: str, word: str, other: str, group: str) -> Iterator[tuple[str, str, Label]]:
        rng = self._rng
        settings = self._groups.get(group, {})
        if settings.get("drops") and rng.random() < 0.6:
            without = articles(dropped(changed, other))
            if without != changed:
                yield text, changed, "contradiction"
                yield without, changed, "neutral"
                yield (changed, without, "entailment") if rng.random() < 0.6 else (changed, changed, "entailment")
                return
        name = settings.get("name")
        if name and rng.random() < 0.6:
            bare = (
                name.removeprefix("a ")
                if settings.get("bare") and re.search(rf"\b(a|an|the|his|her|their) \w* ?{other}\b", changed, re.I)
                else name
            )
            broader = articles(replaced(changed, other, bare))
            yield text, changed, "contradiction"
            yield broader, changed, "neutral"
            yield changed, broader, "entailment"
            return
        addition = rng.choice(ADDITIONS)
        longer = _with_addition(changed, addition)
        if rng.random() < 0.5:
            yield text, longer, "contradiction"
            yield changed, longer, "neutral"
            yield _with_addition(self.reworded(changed), addition), longer, "entailment"
        else:
            yield text, changed, "contradiction"
            yield articles(self.reworded(changed)), changed, "entailment"

    def of_pairs(self, pairs: Sequence[Pair], count: int) -> Iterator[Pair]:
        """Entailments that share a word with their premise: exchanged on one side it contradicts, on both it holds."""
        rng, made = self._rng, 0
        order = [pair for pair in pairs if pair.label == "entailment"]
        rng.shuffle(order)
        for pair in order:
            if made >= count:
                return
            premise_words = _words(pair.premise)
            choices = [
                choice
                for choice in self.exclusive(pair.hypothesis)
                if premise_words.count(choice[0]) == 1
                and not set(choice[1].split()) & set(premise_words)
                and (choice[2] == "opposite" or sum(w in premise_words for w in self._groups[choice[2]]["words"]) == 1)
            ]
            if not choices:
                continue
            word, other, group = self._weighted(choices)
            hypothesis = articles(replaced(pair.hypothesis, word, other))
            premise = articles(replaced(pair.premise, word, other))
            source = f"gen_pair_{group}"
            yield Pair(pair.premise, hypothesis, "contradiction", source, pair.licence)
            yield Pair(premise, hypothesis, "entailment", source, pair.licence)
            made += 2

    def of_likes(self, sentences: Sequence[Sentence], count: int) -> Iterator[Pair]:
        """What somebody has or likes: another thing of the kind is neutral, the kind is entailed, none excluded."""
        rng, made = self._rng, 0
        order = [sentence for sentence in sentences if _LIKES.match(sentence.text)] * 6
        rng.shuffle(order)
        for sentence in order:
            if made >= count:
                return
            choices = [choice for choice in self.exclusive(sentence.text) if choice[2] in _EXISTENTIAL]
            if not choices:
                continue
            word, other, group = rng.choice(choices)
            changed = articles(replaced(sentence.text, word, other))
            yield Pair(sentence.text, changed, "neutral", f"gen_likes_{group}", sentence.licence)
            yield Pair(
                f"It is not true that {changed}", changed, "contradiction", f"gen_likes_{group}", sentence.licence
            )
            yield Pair(changed, changed, "entailment", f"gen_likes_{group}", sentence.licence)
            made += 3


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z][a-z'-]*", text.lower())


def replaced(text: str, word: str, other: str) -> str:
    """The text with the first `word` (whole, any case) exchanged, its capital kept."""

    def as_written(match: re.Match[str]) -> str:
        return other[:1].upper() + other[1:] if match.group()[0].isupper() else other

    return re.sub(rf"\b{re.escape(word)}\b", as_written, text, count=1, flags=re.IGNORECASE)


def dropped(text: str, word: str) -> str:
    """The text without an adjective that stands right before another word; unchanged where it ends the phrase."""
    return re.sub(
        rf"\b{re.escape(word)} (?=[a-z]{{3,}})(?!and\b|or\b|with\b|are\b|is\b|on\b)",
        "",
        text,
        count=1,
        flags=re.IGNORECASE,
    )


def _with_addition(text: str, addition: str) -> str:
    return f"{text.rstrip(' .')} {addition}."
