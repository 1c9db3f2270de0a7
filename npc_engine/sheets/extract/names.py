"""Whom a text is about: the character's name and its forms, and the pronouns that stand for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from npc_engine.errors import CharacterUnclear
from npc_engine.sheets.extract.text import Text
from npc_engine.sheets.words import WORD

# Sentences that must begin with a name before it is taken for the character's without being told.
MIN_SUBJECTS = 3
_TITLES = frozenset(
    WORD.findall("lord lady sir dame dr mr mrs ms miss master mistress captain king queen prince princess saint")
)
_SUFFIXES = frozenset(("Jr.", "Jr", "Sr.", "Sr", "II", "III", "IV"))
_RUN = re.compile(r"[A-Z][\w’'-]*\.?(?:\s+(?:(?:of|the|von|van|de)\s+)?[A-Z][\w’'-]*\.?)*")
# Capitalised at the start of a sentence without being anybody's name.
_STARTERS = frozenset(
    WORD.findall(
        "A About According Additionally After Again All Alone Along Already Also Although Always Among An And "
        "Another Any Are As At Away Back Because Before Behind Being Below Beside Besides Between Beyond Both But "
        "By Can Could Consequently Deep Despite Did Do During Each Early Either Even Eventually Ever Every "
        "Everybody Everyone Few Finally First For Former Forever From Furthermore Had Has Have Having He Hence "
        "Her Here Hers Him His How However I If In Indeed Initially Inside Instead Into Is It Its Just Last Late "
        "Later Like Little Long Many Maybe Meanwhile More Moreover Most Much My Near Nearly Neither Never "
        "Nevertheless Next No Nobody None Nor Not Nothing Now Of Off Often On Once One Only Or Other Others Our "
        "Out Outside Over Perhaps Recognizing Second She Should Since So Some Somebody Someone Something "
        "Sometimes Soon Still Such Suddenly Surprisingly That The Their Them Then There Therefore These They "
        "Third This Those Though Three Through Throughout Thus To Today Together Tomorrow Tonight Too Two Under "
        "Unlike Unlikely Until Up Upon Us Usually Very Was We Well Were What When Whenever Where Whether Which "
        "While Who Whom Whose Why Will With Within Without Would Yes Yesterday Yet You Your"
    )
)


@dataclass(frozen=True)
class Pronouns:
    """The forms that stand for one person."""

    subject: str
    object: str
    possessive: str
    own: str
    reflexive: str


PRONOUNS = {
    "she": Pronouns("she", "her", "her", "hers", "herself"),
    "he": Pronouns("he", "him", "his", "his", "himself"),
    "they": Pronouns("they", "them", "their", "theirs", "themselves"),
}


@dataclass(frozen=True, kw_only=True)
class Character:
    """The person that a text is about.

    Attributes:
        name: As the sheet will have it.
        tokens: The words of the name in every form that the text uses.
        called: The single words that alone mean this person.
        pronouns: What stands for the name; None where the text never says.
        is_narrator: Whether the text is written in the first person.
    """

    name: str
    tokens: frozenset[str]
    called: tuple[str, ...]
    pronouns: Pronouns | None
    is_narrator: bool = False

    @cached_property
    def mention(self) -> re.Pattern[str]:
        """Any mention by name, with what may stand before it as a part of the name."""
        parts = "|".join(map(re.escape, sorted(self.tokens, key=len, reverse=True)))
        return re.compile(rf"\b(?:(?:{parts})\s+)*(?:{parts})(?![\w-])")

    def is_name(self, run: str) -> bool:
        """Whether a run of capitalised words is a form of the name."""
        words = [word.strip(".,") for word in run.split()]
        own = [word for word in words if word in self.tokens]
        return bool(own) and all(word in self.tokens or word.lower() in _TITLES for word in words)


def leading_run(sentence: str) -> str:
    """The name that a sentence begins with; empty where it begins with another word."""
    found = _RUN.match(sentence)
    if found is None:
        return ""
    run = re.sub(r"['’]s?$", "", found[0])
    first = run.split()[0]
    return "" if first in _STARTERS else run


def find_character(texts: Sequence[Text], name: str | None) -> Character:
    """The person that the texts are about.

    Args:
        texts: In order.
        name: The name, where the writer gave it; else it is the value of `Name:`, the first heading, or the name that
            most sentences begin with.

    Raises:
        CharacterUnclear: None of these tells, or the name that was given stands nowhere.
    """
    sentences = [sentence for text in texts for sentence in text.sentences]
    told = [sentence.text for sentence in sentences if not sentence.is_speech]
    subjects = Counter(run for text in told if (run := leading_run(text)))
    is_narrator = _is_narrated(told)
    shown = name or _named(texts, subjects)
    if not shown:
        raise CharacterUnclear(
            "the text does not tell whom it is about",
            path=texts[0].path,
            hint="say it: --name 'Mira Oss'",
        )
    words = [word.strip(".,") for word in shown.split() if word not in _SUFFIXES]
    tokens = {word for word in words if word.lower() not in _TITLES and word[:1].isupper()} or set(words)
    # The first sentence of an article spells the name in full: "Hermione Jean Granger is ...".
    opening = next((run for text in told[:3] if (run := leading_run(text)) and tokens & set(run.split())), "")
    if len(tokens & set(opening.split())) >= min(2, len(tokens)):
        tokens |= {word.strip(".,") for word in opening.split() if word.lower() not in _TITLES} - _SUFFIXES
    everything = " ".join(told)
    called = tuple(word for word in tokens if re.search(rf"\b{re.escape(word)}\b", everything))
    if not called and not is_narrator:
        raise CharacterUnclear(
            f"the name {shown!r} stands nowhere in the text",
            path=texts[0].path,
            hint="give the name as the text spells it",
        )
    bare = Character(name=shown, tokens=frozenset(tokens), called=called, pronouns=None, is_narrator=is_narrator)
    return Character(
        name=shown,
        tokens=bare.tokens,
        called=called,
        pronouns=_pronouns(told, bare),
        is_narrator=is_narrator,
    )


def _named(texts: Sequence[Text], subjects: Counter[str]) -> str:
    for text in texts:
        for sentence in text.sentences:
            if sentence.key.lower() in ("name", "full name", "character"):
                return sentence.text.strip(" .,")
    heading = texts[0].headings[0] if texts[0].headings else ""
    words = [word for word in heading.split() if word.strip(".,").lower() not in _TITLES and word not in _SUFFIXES]
    if 1 <= len(words) <= 5 and all(word[:1].isupper() for word in words):
        found = sum(count for run, count in subjects.items() if set(run.split()) & set(words))
        if found >= MIN_SUBJECTS:
            return heading
    if subjects:
        (best, count), *others = subjects.most_common(2)
        if count >= MIN_SUBJECTS and (not others or count > 1.5 * others[0][1]):
            return best
    return ""


def _is_narrated(told: Sequence[str]) -> bool:
    first = sum(bool(re.match(r"(?:I|I['’]m|I['’]ve|My)\b", text)) for text in told)
    third = sum(bool(re.match(r"(?:He|She|His|Her)\b", text) or leading_run(text)) for text in told)
    return first >= MIN_SUBJECTS and first > third


def _pronouns(told: Sequence[str], character: Character) -> Pronouns | None:
    """What stands for the name: the pronoun that sentences which begin with the name, or follow one, use most."""
    counts: Counter[str] = Counter()
    after = False
    for text in told:
        begins = character.is_name(leading_run(text)) if leading_run(text) else False
        if begins or after:
            rest = text if after and not begins else " ".join(text.split()[1:])
            for word in re.findall(r"\b(?:she|her|hers|herself|he|his|him|himself)\b", rest, re.IGNORECASE):
                counts["she" if word.lower().startswith("she") or word.lower().startswith("her") else "he"] += 1
        after = begins
    if not counts:
        they = sum(bool(re.match(r"They\b", text)) for text in told)
        return PRONOUNS["they"] if they >= MIN_SUBJECTS else None
    return PRONOUNS[counts.most_common(1)[0][0]]
