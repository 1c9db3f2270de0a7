"""What a text says about the character: every sentence that is about nobody else, in the first person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from npc_engine.sheets.extract.attributes import from_attribute
from npc_engine.sheets.extract.cutting import HEDGED, MAX_WORDS, MIN_WORDS, clauses, split_lead
from npc_engine.sheets.extract.names import Character, leading_run
from npc_engine.sheets.extract.person import Said, is_ambiguous, say, say_own
from npc_engine.sheets.extract.relations import KIN
from npc_engine.sheets.extract.text import Position, Sentence, Text
from npc_engine.sheets.extract.verbs import ADVERB, first_person, is_past, is_trivial
from npc_engine.sheets.fields import MAX_FACT_CHARS

# Speaks of the text's own world from outside, which nobody in it could say.
_OUTSIDE = re.compile(
    r"\b(?:novels?|films?|movies?|television|fiction\w*|protagonist|antagonist|sobriquet|actor|actress|portray\w*|"
    r"depict\w*|historians?|scholars?|biograph\w+|readers?|critics?|adaptations?|screen|sequel|franchise|episode|"
    r"debut\w*|titular|modern|literary|legacy|in the books?|later known as|polls?|chapters?|series|saga|trilogy|"
    r"(?:first|second|third|fourth|fifth|sixth|seventh|last|final|next) book|encyclop\w+|first appears?|is mentioned|"
    r"is introduced|video game|posthumous\w*)\b",
    re.IGNORECASE,
)
_OWN_END = re.compile(
    r"\b(?:(?:my|his|her|their) (?:own )?(?:\w+ )?"
    r"(?:death|assassination|funeral|tomb|grave|burial|corpse|remains|dead body|body lay)|"
    r"end of (?:my|his|her|their) life|"
    r"(?:was|is|been|be) (?:assassinated|killed|executed|buried|murdered|stabbed|fatally shot|shot dead))\b",
    re.IGNORECASE,
)
_DIED = frozenset(("died", "dies", "perished", "perishes"))
_CONNECTIVE = re.compile(
    r"(?:But|And|So|Yet|However|Therefore|Moreover|Furthermore|In contrast|Instead|Thus|Also|Additionally|Surprisingly|"
    r"Nevertheless|"
    r"Consequently|In addition|As a result|For example|For instance|Indeed|In fact|Subsequently|Overall|Besides|Still|"
    r"Then|Soon|Now|Later|Afterwards|Finally|Eventually|Meanwhile|Again|At this time|At the time)"
)
_REFERS_BACK = re.compile(
    r"\b(?:this|these|those(?! who)|former|latter|aforementioned|above|do so|did so|does so)\b", re.IGNORECASE
)
# Behind so many words it refers to one of them.
MIN_WORDS_BEFORE = 8
_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"")
_CONDITIONAL = re.compile(r"(?:If|Unless|Whether|Had|Were|Until|According|Although|Though|Unlike|Like)\b")
_POSSESSED = re.compile(r"(?:Her|His|Their)\s+(?P<rest>.+)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something that a text says about the character.

    Attributes:
        text: In the first person, one sentence.
        plain: The same in the third, with the name; what must follow from `evidence`.
        evidence: The sentence that says it, as the text has it, the names of its attribute included.
        position: Where that stands.
        chapter: Which text it is from, counted from 0.
        key: The attribute that it is from; empty for prose.
    """

    text: str
    plain: str
    evidence: str
    position: Position
    chapter: int
    key: str = ""


def claims(texts: Sequence[Text], character: Character) -> list[Claim]:
    """Every claim about the character, in order."""
    found: list[Claim] = []
    for text in texts:
        reader = _Reader(character, is_story=_is_story(text))
        for sentence in text.sentences:
            found += reader.read(sentence)
    return found


def _is_story(text: Text) -> bool:
    """Whether people speak in it: a paragraph begins with what somebody says aloud."""
    return any(one.is_speech and one.text[:1] in '"“' for one in text.sentences)


class _Reader:
    """Reads one text in order, and remembers whom the last sentence was about."""

    def __init__(self, character: Character, *, is_story: bool) -> None:
        self._character = character
        self._is_story = is_story
        self._is_subject = False
        self._is_topic = False
        self._paragraph = -1

    def read(self, sentence: Sentence) -> Iterator[Claim]:
        if sentence.paragraph != self._paragraph:
            # A list of attributes is about the character throughout; another paragraph may go on with "She".
            self._is_subject = self._is_subject or bool(sentence.key)
            self._is_topic = self._is_subject
            self._paragraph = sentence.paragraph
        if sentence.is_speech:
            said_by = _QUOTED.sub(" ", sentence.text)
            self._is_subject = self._is_subject and not re.search(r"(?<=\s)[A-Z][a-z]", f" {said_by.lstrip()[1:]}")
            return
        evidence = f"{sentence.key}: {sentence.text}" if sentence.key else sentence.text
        for said in self._said(sentence):
            if _is_kept(said, self._is_story):
                yield Claim(
                    text=said.text,
                    plain=said.plain,
                    evidence=evidence,
                    position=sentence.position,
                    chapter=sentence.chapter,
                    key=sentence.key,
                )

    def _said(self, sentence: Sentence) -> Iterator[Said]:
        text = sentence.text
        if text.endswith("?"):
            return
        if self._character.is_narrator:
            yield from _narrated(text)
            return
        parts = list(clauses(self._character, text))
        whole = [said for part, is_later in parts for said in self._clause(part, is_later=is_later)]
        if whole:
            yield from whole
        elif sentence.key:
            yield from from_attribute(self._character, sentence.key, text)

    def _clause(self, text: str, *, is_later: bool) -> list[Said]:
        character = self._character
        lead, rest = "", text
        if not is_later:
            lead, rest = self._lead(text)
        about, after = self._subject(rest, has_lead=bool(lead))
        if not is_later:
            self._follow(rest, about)
        if not about and not lead and leading_run(text):
            return self._kin(text)
        if not about or (lead and _CONDITIONAL.match(lead)):
            return []
        if _CONNECTIVE.fullmatch(lead) or lead.endswith(" there"):
            lead = ""
        if about == "own":
            own = say_own(character, after) if not lead else None
            return [own] if own is not None else []
        told = say(character, after, lead=lead)
        # A lead that cannot be told is left out: what is left is still so, unless it was a condition.
        return told if told or not lead else say(character, after, context=lead)

    def _lead(self, text: str) -> tuple[str, str]:
        lead, rest = split_lead(text)
        return (lead, rest) if lead and self._subject(rest, has_lead=True)[0] else ("", text)

    def _kin(self, text: str) -> list[Said]:
        """Who somebody else is to the character: "Tobin is her brother."."""
        character = self._character
        mine = character.pronouns.possessive if character.pronouns and self._is_topic else ""
        owners = "|".join([*(f"{re.escape(name)}['’]s?" for name in character.called), *([mine] if mine else [])])
        found = re.match(rf"(?P<who>[A-Z][\w’' -]*?)\s(?P<verb>is|was)\s(?:{owners})\s(?P<kin>[^,.;]+)", text)
        if found is None or not KIN.fullmatch(found["kin"]):
            return []
        return [Said(f"{found['who']} {found['verb']} my {found['kin']}.", f"{found[0]}.", "")]

    def _subject(self, text: str, *, has_lead: bool) -> tuple[str, str]:
        """`self` or `own` and what follows, where the subject is the character or something of the character's."""
        character = self._character
        run = leading_run(text)
        if run:
            after = text[len(run) :]
            if not character.is_name(run):
                return "", ""
            if after[:2] in ("'s", "’s") or (run.endswith("s") and after[:2] in ("' ", "’ ")):
                return "own", after[2:].strip()
            return ("self", after.strip()) if re.match(r"\s|,\s", after) else ("", "")
        mine = character.pronouns
        if mine is None or not self._is_subject:
            return "", ""
        first, _, rest = text.partition(" ")
        if first.lower() == mine.subject and (first[:1].isupper() or has_lead):
            return "self", rest
        if first.lower() == mine.possessive and (first[:1].isupper() or has_lead):
            return "own", rest
        return "", ""

    def _names_a_person(self, text: str) -> bool:
        return is_ambiguous(self._character, " ".join(text.split()[:4]))

    def _follow(self, text: str, about: str) -> None:
        """Remember whom a pronoun at the start of the next sentence stands for."""
        if about == "self":
            self._is_subject = True
        elif about == "own" or _names_somebody(text):
            # "Her mother …" or "Crassus …": the next "she" or "he" may be theirs.
            self._is_subject = about == "own" and not self._names_a_person(text)
        self._is_topic = self._is_topic or bool(about)


def _names_somebody(text: str) -> bool:
    """Whether a sentence begins with a name that does something; "Professional guitarist ..." does not."""
    run = leading_run(text)
    after = text[len(run) :].split()
    is_word = after and (first_person(after[0].strip(",")) or ADVERB.fullmatch(after[0]) or after[0] in ("and", "are"))
    return bool(run) and (" " in run or text[len(run) :][:1] in (",", "'", "’") or bool(is_word))


def _narrated(text: str) -> Iterator[Said]:
    """A sentence of somebody who speaks about themselves."""
    is_own = re.match(r"(?:I|I['’](?:m|ve|d)|My)\b", text) and MIN_WORDS <= len(text.split()) <= MAX_WORDS
    if is_own and not re.search(r"\b(?:you|your|click|email|here)\b", text, re.IGNORECASE):
        yield Said(text if text.endswith((".", "!")) else f"{text}.", text, "")


def _is_kept(said: Said, is_story: bool) -> bool:
    if not MIN_WORDS <= len(said.text.split()) <= MAX_WORDS + 12 or len(said.text) > MAX_FACT_CHARS:
        return False
    if HEDGED.search(said.text) or _OUTSIDE.search(said.text) or _OWN_END.search(said.text) or said.verb in _DIED:
        return False
    # A quotation that goes on behind the sentence is half of one.
    if said.text.count('"') % 2 or said.text.count("“") != said.text.count("”"):
        return False
    # What begins with a reference to the sentence before means nothing alone.
    back = _REFERS_BACK.search(said.text)
    if back and len(said.text[: back.start()].split()) < MIN_WORDS_BEFORE:
        return False
    return not (is_story and said.verb and is_trivial(said.verb) and is_past(said.verb))
