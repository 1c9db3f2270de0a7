"""Third person into first: a clause whose subject is the character, as the character would say it.

Every change is by rule. Where a pronoun may be somebody else's, or a word may be a noun or a verb, the clause is cut
before the doubt or given up: what is said is then still what the sentence says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from npc_engine.sheets.extract.cutting import MIN_WORDS, NOT_MONOTONE, SAYS_NOTHING, shortened, upto
from npc_engine.sheets.extract.names import Character
from npc_engine.sheets.extract.verbs import ADVERB, COMMON, ONLY_VERBS, base_of, first_person, is_past

_PLACED = re.compile(r"\b(?:in|at|on|near|the|into|across|through|throughout|around|outside|inside|a|an)\s+$", re.I)
_CALENDAR = re.compile(
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|Monday|Tuesday|"
    r"Wednesday|Thursday|Friday|Saturday|Sunday|BC|AD|BCE|CE|I)\b"
)
_PEOPLE = re.compile(
    r"\b(?:parents?|family|man|boy|father|brother|son|husband|uncle|king|lord|woman|girl|mother|sister|daughter|wife|aunt|"
    r"queen|lady|"
    r"friend|partner|teacher|mentor|master|boss|captain|stranger|child|rival|soldier|student|neighbou?r|spy|lover|"
    r"cousin|grandfather|grandmother|grandson|granddaughter|colleague|companion|enemy|guard|priest|monk|nun)\b",
    re.IGNORECASE,
)
_SHE = re.compile(r"\b(?:woman|girl|lady|queen|aunt|wife|nun|(?:grand)?(?:mother|daughter)|sister)\b", re.IGNORECASE)
_HE = re.compile(r"\b(?:man|boy|lord|king|uncle|husband|monk|(?:grand)?(?:father|son)|brother)\b", re.IGNORECASE)
_AFTER_VERB = re.compile(r"(?:the|a|an|my|his|her|their|its|him|them|it|that|how|what|to|in|on|at|with|for|\w+ing)\b")
_OBJECT_HER = re.compile(
    r"her(?=[.,;:!?—]|\s*$|\s+(?:and|or|but|to|in|on|at|by|for|from|with|as|if|when|that|who|while|into|up|down|out|off|"
    r"away|back|alone|before|after|because|about|than|the|a|an|how|what|where|why)\b)"
)


@dataclass(frozen=True)
class Said:
    """A clause in both persons.

    Attributes:
        text: As the character says it.
        plain: The same with the name as its subject, as the text says it.
        verb: The main verb as the text has it, lower case.
    """

    text: str
    plain: str
    verb: str


def say(character: Character, rest: str, *, lead: str = "", context: str = "") -> list[Said]:
    """A clause whose subject is the character, cut into one claim a verb.

    Args:
        character: Who speaks.
        rest: What follows the subject.
        lead: What stands before the subject, without its comma.
        context: What the text has there and is left out: whoever it names may be meant by a pronoun.

    Returns:
        Nothing where the rules are not sure.
    """
    rest = _without_appositive(rest)
    words = rest.split()
    at = 0
    while at < len(words) - 1 and ADVERB.fullmatch(words[at].lower()) and at < 3:
        at += 1
    if at >= len(words):
        return []
    bare = words[at].rstrip(",.;:")
    verb = first_person(bare)
    if verb is None or bare[:1].isupper():
        return []
    body = " ".join(words)
    clause = Clause(character, present=not is_past(bare.lower()), after=lead or context)
    told = clause.first(body, verb_at=at, verb=verb)
    if told is None:
        return []
    before = Clause(character, present=False).lead(lead) if lead else ""
    if before is None:
        return []
    subject = f"{before}, I" if before else "I"
    name = f"{lead}, {character.name}" if lead else character.name
    said: list[Said] = []
    for part, number in _by_verb(told, clause.joints if not lead else []):
        if (short := shortened(part)) is None or _refers_elsewhere(short) or SAYS_NOTHING.search(short.rstrip(" .")):
            continue
        plain = shortened(body) or body if not clause.joints else body
        main = bare.lower() if number == 0 else part.split()[0]
        said.append(Said(_sentence(f"{subject} {short}"), _sentence(f"{name} {plain}"), main))
    return said


def _by_verb(told: str, joints: list[int]) -> Iterator[tuple[str, int]]:
    """A clause cut before each joined verb that has words of its own, as has the one before it; numbered."""
    words = told.split()
    begin = number = 0
    for joint in joints if not NOT_MONOTONE.search(told) else []:
        start = joint
        while start > begin and ADVERB.fullmatch(words[start - 1]):
            start -= 1
        end = start
        while end > begin and words[end - 1] in ("and", "but", "or", "yet"):
            end -= 1
        if end - begin >= MIN_WORDS and len(words) - joint >= MIN_WORDS - 1:
            yield " ".join(words[begin:end]), number
            begin, number = start, number + 1
    yield " ".join(words[begin:]), number


def say_own(character: Character, rest: str) -> Said | None:
    """A clause whose subject is something of the character's: what follows "Mira's" or "Her"."""
    # "Her mother lost her job" does not say whose.
    owner = "x Somebody" if is_ambiguous(character, " ".join(rest.split()[:4])) else ""
    told = Clause(character, present=False, after=owner).first(rest, verb_at=-1, verb="")
    if told is None or (told := shortened(told)) is None or _refers_elsewhere(told):
        return None
    # The verb of the clause itself: not one of a relative clause or of an insertion between commas.
    head = re.split(r",|\b(?:who|which|that|whose|whom)\b", re.sub(r",\s[^,]*,", "", told))[0]
    if not any(first_person(word) or word in ("are", "were") for word in head.split()[1:]):
        return None
    return Said(_sentence(f"My {told}"), _sentence(f"{character.name}'s {rest}"), "")


def is_ambiguous(character: Character, text: str) -> bool:
    """Whether a pronoun of the character's may as well stand for somebody that these words name."""
    if not _PEOPLE.search(text):
        return False
    mine = character.pronouns.subject if character.pronouns else ""
    return not ((mine == "she" and _HE.search(text)) or (mine == "he" and _SHE.search(text)))


class Clause:
    """Rewrites the words of one clause.

    Args:
        character: Who speaks.
        present: Whether the main verb stands in the present, so that verbs joined to it change too.
        after: What the sentence says before the clause; somebody named there may be whom its pronouns stand for.

    Attributes:
        joints: At which words of the last clause another verb of the same subject stands.
    """

    def __init__(self, character: Character, *, present: bool, after: str = "") -> None:
        self._character = character
        self._present = present
        self.joints: list[int] = []
        self._names_another = any(
            not _PLACED.search(after[: found.start()]) and not _CALENDAR.match(found[0])
            for found in re.finditer(r"(?<=\s)[A-Z][\w’'-]*", after)
            if not character.is_name(found[0].removesuffix("'s").removesuffix("’s"))
        )

    def first(self, body: str, *, verb_at: int, verb: str) -> str | None:
        """The clause in the first person, cut before the first doubt; None where the doubt comes at once."""
        tokens = list(re.finditer(r"\S+", body))
        out: list[str] = []
        other = self._names_another
        self.joints = []
        is_person = False
        i = 0
        while i < len(tokens):
            token = tokens[i][0]
            word = token.strip(',.;:!?"“”()—')
            before = body[: tokens[i].start()]
            if i == verb_at:
                out.append(token.replace(word, verb, 1))
                i += 1
                continue
            changed = self._changed(word, body[tokens[i].start() :], other=other, is_person=is_person)
            if changed is None:
                return upto(out, body)
            if changed == "I" and i + 1 < len(tokens):
                following = self._verb_after(tokens, i + 1)
                if following is None:
                    return upto(out, body)
                out.append(token.replace(word, "I", 1))
                for j, new in following:
                    out.append(tokens[j][0].replace(tokens[j][0].strip(",.;:"), new, 1))
                i = following[-1][0] + 1
                continue
            if 0 <= verb_at < i and (joined := self._joined(tokens, i, verb_at)) is not None:
                if not joined:
                    return upto(out, body)
                self.joints.append(len(out))
                out.append(token.replace(word, joined, 1))
                i += 1
                continue
            if word[:1].isupper() and self._character.is_name(word.removesuffix("'s").removesuffix("’s")):
                if not word.endswith(("'s", "’s")):
                    return upto(out, body)
                out.append(token.replace(word, "my", 1))
                i += 1
                continue
            if word[:1].isupper() and not _PLACED.search(before) and not _CALENDAR.match(word):
                # The first word has a capital for being first.
                other = other or i > max(verb_at, 0)
            is_person = is_person or is_ambiguous(self._character, word)
            out.append(token.replace(word, changed, 1) if word else token)
            i += 1
        return " ".join(out)

    def lead(self, lead: str) -> str | None:
        """What stands before the subject, its pronouns changed; None where one cannot be placed."""
        told = self.first(lead, verb_at=-1, verb="")
        return told if told is not None and len(told.split()) == len(lead.split()) else None

    def _changed(self, word: str, after: str, *, other: bool, is_person: bool) -> str | None:
        """A word in the first person: itself where it is no pronoun; None where it may be another's."""
        mine = self._character.pronouns
        lower = word.lower()
        if mine is None:
            return None if lower in ("he", "she", "him", "her", "his", "hers", "himself", "herself") else word
        if lower not in (mine.subject, mine.object, mine.possessive, mine.own, mine.reflexive):
            return word
        if other or (is_person and lower in (mine.subject, mine.object)):
            return None
        if mine.subject == "they" and lower != mine.reflexive:
            return None  # "they" may be any two people
        if lower == mine.subject:
            return "I"
        if lower == mine.reflexive:
            return "myself"
        if lower == "her":
            return "me" if _OBJECT_HER.match(after.lower()) else "my"
        if lower == "him":
            return "me"
        is_last = re.match(r"\S*?(?:his|hers)\b(?:[.,;:!?]|\s*$)", after, re.IGNORECASE)
        return "mine" if lower == "hers" or is_last else "my"

    def _verb_after(self, tokens: list[re.Match[str]], at: int) -> list[tuple[int, str]] | None:
        """The words from a pronoun to its verb, that verb in the first person; None where no verb is near."""
        out: list[tuple[int, str]] = []
        for j in range(at, min(at + 3, len(tokens))):
            word = tokens[j][0].strip(",.;:")
            verb = first_person(word)
            if verb is not None and not ADVERB.fullmatch(word.lower()):
                return [*out, (j, verb)]
            if not ADVERB.fullmatch(word.lower()):
                return None
            out.append((j, word))
        return None

    def _joined(self, tokens: list[re.Match[str]], at: int, verb_at: int) -> str | None:
        """A verb joined to the main one, in the first person; empty where it may as well be a noun, None for neither.

        "She works and sings.", "She mends nets, sells fish."
        """
        word = tokens[at][0].strip(",.;:")
        base = base_of(word.lower())
        if base is None or word[:1].isupper():
            return None
        k = at - 1
        has_adverb = False
        while k > 0 and ADVERB.fullmatch(tokens[k][0].lower()):
            has_adverb = True
            k -= 1
        joint = tokens[k][0].lower()
        if joint not in ("and", "but", "or", "yet") and not joint.endswith(","):
            return None
        if joint.endswith(",") and not has_adverb and base not in COMMON:
            return None
        if has_adverb or (word.lower() in ("is", "has", "does") and not joint.endswith(",")):
            return base
        is_last = at + 1 == len(tokens) or not tokens[at][0][-1:].isalpha()
        following = "" if is_last else tokens[at + 1][0].lower()
        is_followed = bool(_AFTER_VERB.match(following))
        # "doubts and fears": a plural before and nothing behind make it a noun; so does somebody else's clause.
        is_list = k - 1 > verb_at and tokens[k - 1][0].rstrip(",").endswith("s")
        if is_list and base not in ONLY_VERBS and not (is_followed and base in COMMON):
            return None
        if any(tokens[j][0].lower() in ("who", "which", "that") for j in range(k)):
            return "" if is_followed else None
        if base in COMMON and (self._present or is_followed):
            return base
        return "" if is_followed else None


def _refers_elsewhere(text: str) -> bool:
    """Whether a pronoun stands for somebody or something of another sentence."""
    words = text.split()
    for at, word in enumerate(words):
        lower = word.strip(",.;:").lower()
        before = words[:at]
        if lower in ("they", "them", "their", "theirs"):
            if not any(re.search(r"(?<!s)s,?$|^(?:and|people|family|children|men|women)$", one) for one in before[1:]):
                return True
        elif lower in ("he", "him", "his", "she", "her"):
            if not any((one[:1].isupper() and one != "I") or _PEOPLE.fullmatch(one.strip(",.")) for one in before):
                return True
        elif lower in ("it", "its") and at < MIN_WORDS:
            return True
    return False


def _without_appositive(rest: str) -> str:
    """`rest` without ", a spy," behind the subject."""
    found = re.match(r",\s(?:a|an|the|now|then|who|whose|born|known|also|her|his)\b[^,]{1,100},\s", rest)
    return rest[found.end() :] if found else rest


def _sentence(text: str) -> str:
    text = text.rstrip(" .,;:!")
    return text[:1].upper() + text[1:] + "."
