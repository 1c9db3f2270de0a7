"""Put a card's third-person sentence into the first person, where a few safe rules can; else leave it as it is.

"Mira runs the ferry." is "I run the ferry."; "She never hurries." too, where the sentence before was about her. A
sentence that names somebody else, or that holds a pronoun which may be somebody else's, is not touched.
"""

from __future__ import annotations

import re

_VERBS = {"is": "am", "was": "was", "has": "have", "does": "do", "goes": "go", "isn't": "am not", "hasn't": "haven't"}
_VERBS |= {"doesn't": "don't", "wasn't": "wasn't"}
# The same in both persons.
_SAME = re.compile(
    r"can|can't|cannot|could|couldn't|will|won't|would|wouldn't|must|may|might|should|shouldn't|had|hadn't|did|didn't|"
    r"lived|grew|became|came|went|left|lost|found|made|took|kept|married|inherited|learned|worked|served|fought"
)
_ADVERBS = re.compile(r"always|never|often|also|still|usually|rarely|sometimes|seldom|secretly|only|now|once")
_NOT_VERBS = re.compile(r"less|its|this|his|hers|yes|ours|always|besides|towards|perhaps")
_SUBJECTS = {"she": ("her", "herself"), "he": ("his", "himself")}
_OTHERS = re.compile(r"\b(?:she|he|him|they|them|their|it|its|i|me|my|we|our|you|your)\b", re.IGNORECASE)
_OBJECT_HER = re.compile(r"\bher(?=[.,;:!?]|\s*$|\s+(?:and|or|to|in|on|at|by|for|from|with|as|if|when|that|who)\b)")
# Another verb may follow, which would have to change too; a plural noun looks the same.
_SECOND_VERB = re.compile(r"(?:,|\band|\bbut|\bor|\bthen)\s+(?:\w+ly\s+)?[a-z]+s(?![\w'])")
_NAME = re.compile(r"(?<=[\w,;] )[A-Z][\w'’-]+")


class Speaker:
    """Rewrites a character's sentences in order; remembers whom the last one was about.

    Args:
        name: The character's name; its first word alone counts too.
    """

    def __init__(self, name: str) -> None:
        self._names = sorted({name, name.split()[0]}, key=len, reverse=True)
        self._is_subject = False
        self._pronoun = ""

    def said(self, sentence: str) -> str:
        """The sentence in the first person, or as it is where no rule is safe."""
        subject, rest = self._subject(sentence)
        if not subject:
            self._is_subject = False
            return sentence
        others = bool(_NAME.search(rest))
        self._is_subject = not others
        if subject == "'s":
            return sentence if others or self._strange(rest) else f"My{self._own(rest)}"
        words = rest.split(" ")
        at = 1 if _ADVERBS.fullmatch(words[0].lower()) and len(words) > 1 else 0
        verb = _first_person_verb(words[at].rstrip(",.;"))
        if verb is None or self._strange(rest) or (others and self._owns(rest)):
            return sentence
        if _SECOND_VERB.search(rest) and not _SAME.fullmatch(words[at]):
            return sentence
        tail = words[at][len(words[at].rstrip(",.;")) :]
        words[at] = verb + tail
        return "I " + self._own(" ".join(words))

    def _subject(self, sentence: str) -> tuple[str, str]:
        """What the sentence begins with, if that is the character, and what follows."""
        for name in self._names:
            for possessive in ("'s ", "’s "):
                if sentence.startswith(name + possessive):
                    return "'s", " " + sentence[len(name + possessive) :]
            if sentence.startswith(name + " "):
                return "name", sentence[len(name) + 1 :]
        first, _, rest = sentence.partition(" ")
        pronoun = first.lower()
        if pronoun in _SUBJECTS and self._is_subject and self._pronoun in ("", pronoun) and rest:
            self._pronoun = pronoun
            return "pronoun", rest
        if first in ("Her", "His") and self._is_subject and rest and self._pronoun:
            return ("'s", " " + rest) if _SUBJECTS[self._pronoun][0] == first.lower() else ("", "")
        return "", ""

    def _strange(self, rest: str) -> bool:
        """Whether a pronoun is in it that these rules cannot place."""
        if any(name in rest for name in self._names) or _OTHERS.search(rest) or _OBJECT_HER.search(rest):
            return True
        owned = {word for pair in _SUBJECTS.values() for word in pair} & set(re.findall(r"\w+", rest.lower()))
        mine = _SUBJECTS.get(self._pronoun)
        return bool(owned) and (
            (mine is None and len({word[:2] for word in owned}) > 1) or not owned <= set(mine or owned)
        )

    def _owns(self, rest: str) -> bool:
        return bool(re.search(r"\b(?:her|his|herself|himself)\b", rest))

    def _own(self, rest: str) -> str:
        return re.sub(r"\b(?:her|his)\b", "my", re.sub(r"\b(?:herself|himself)\b", "myself", rest))


def attribute_fact(key: str, value: str) -> str:
    """An attribute as a sentence: "My age is 34." for `Age: 34`, "I like tea." for `Likes: tea`."""
    word = key.lower()
    value = value.rstrip(".;, ")
    if word in ("likes", "loves", "hates", "dislikes", "fears", "enjoys", "wants", "believes", "owns", "values"):
        return f"I {word[:-1]} {value}."
    if not re.fullmatch(r"[a-z][a-z' -]*", word):
        return f"{key}: {value}."
    plural = word.endswith("s") and not word.endswith("ss")
    return f"My {word} {'are' if plural else 'is'} {value}."


def _first_person_verb(word: str) -> str | None:
    if word in _VERBS:
        return _VERBS[word]
    if _SAME.fullmatch(word):
        return word
    if not re.fullmatch(r"[a-z]{2,}s", word) or _NOT_VERBS.fullmatch(word) or word.endswith(("ss", "us", "'s")):
        return None
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    return word[:-1]
