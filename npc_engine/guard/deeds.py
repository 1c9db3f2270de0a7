"""Claims that something was done: which verbs an action stands for, and whether a sentence claims one that was not.

By string rules. A claim is a perfect ("I've entered you"), a past with the player in it ("I rented you the room"), a
passive about the player's things ("your name is entered"). Not a claim: a question, a denial, a condition, a deed of
another day, the retelling of a fact. What is not covered: a claim in other verbs than the action's own and those of
`phrases.toml` ("the blade hangs at your belt").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from npc_engine.guard.words import stems
from npc_engine.sheets.schema import ActionSpec
from npc_engine.sheets.words import stem

# Verbs of actions that hand nothing over and change nothing: their success allows no "here is your sword".
_LOOKS = frozenset(
    map(stem, ("look", "check", "search", "find", "list", "show", "tell", "read", "inspect", "measure", "judge"))
) | frozenset(
    map(stem, ("view", "compare", "query", "lookup", "describe", "count", "test", "browse", "examine", "ask"))
)
_IRREGULAR = {
    "sold": "sell", "gave": "give", "given": "give", "took": "take", "taken": "take", "bought": "buy", "wrote": "write",
    "written": "write", "rang": "ring", "rung": "ring", "begun": "begin", "began": "begin", "paid": "pay",
    "made": "make", "sent": "send", "did": "do", "done": "do", "put": "put", "brought": "bring", "let": "let",
    "lent": "lend", "struck": "strike", "cast": "cast", "set": "set", "taught": "teach", "led": "lead", "left": "leave",
    "hid": "hide", "hidden": "hide", "kept": "keep", "laid": "lay", "swore": "swear", "sworn": "swear", "bound": "bind",
    "built": "build", "cut": "cut", "drawn": "draw", "drew": "draw",
    "got": "get", "held": "hold", "met": "meet", "spoke": "speak", "spoken": "speak", "threw": "throw", "shut": "shut",
    "bet": "bet", "fed": "feed", "fought": "fight", "healed": "heal", "hung": "hang", "lit": "light", "wove": "weave",
}  # fmt: skip
# Verbs that say too many other things ("I've taken you for a thief") to be claims outside a task.
_COMMON = frozenset(
    map(stem, ("give", "take", "put", "let", "get", "make", "keep", "do", "leave", "hold", "set", "meet"))
)
_ADVERBS = r"(?:(?:just|now|already|gladly|also|then|duly|even) )*"
_CLAIMS = tuple(
    (re.compile(pattern, re.IGNORECASE), to_player)
    for pattern, to_player in (
        (rf"\b(?:i|we)(?:'ve| have) {_ADVERBS}(?P<verb>\w+)", False),
        (rf"\b(?:i|we) {_ADVERBS}(?P<verb>\w+)(?= )", True),
        (
            rf"\b(?:your \w+(?: \w+)?|it|that|they|you)(?:'s|'re| is| are| has been| have been| was) {_ADVERBS}"
            r"(?P<verb>\w+)",
            False,
        ),
    )
)
_PLAYER = re.compile(r"\b(?:you|your|yours|it|them)\b", re.IGNORECASE)
_NO_CLAIM = re.compile(
    r"\b(?:not|never|no|nothing|nobody|\w+n't|if|unless|until|once|when|would|could|should|might|will|shall|ago|"
    r"yesterday|last|before|years?|winters?|summers?|whoever|anyone|always|often|usually)\b|\?\W*$",
    re.IGNORECASE,
)
# A retold fact shares all of so many words with it.
_RETOLD_WORDS = 2


def verbs_of(action: ActionSpec) -> frozenset[str]:
    """Stems of the verbs that an action stands for: the first word of its name and of its description."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action.name).split("_")[0]
    described = re.match(r"\W*(\w+)", action.description)
    return frozenset(stem(word.casefold()) for word in (name, described[1] if described else name))


def undone_verbs(actions: Iterable[ActionSpec], done: Collection[str]) -> frozenset[str]:
    """Stems of the verbs that may not be claimed.

    Args:
        actions: All that the game can run.
        done: Names of those that have succeeded.
    """
    actions = tuple(actions)
    allowed = frozenset().union(*(verbs_of(action) for action in actions if action.name in done))
    return frozenset().union(*(verbs_of(action) for action in actions)) - allowed - _LOOKS


def changes_something(action: ActionSpec) -> bool:
    """Whether an action does more than look something up."""
    return not verbs_of(action) & _LOOKS


def claimed(sentence: str, undone: frozenset[str], *, only_to_player: bool) -> str | None:
    """The words by which a sentence claims a deed of one of the verbs; None where it claims none.

    Args:
        sentence: The sentence.
        undone: Stems of verbs.
        only_to_player: Whether a claim counts only with the player in it.
    """
    text = sentence.replace("’", "'")
    undone = undone - _COMMON if only_to_player else undone
    if not undone or is_no_claim(text):
        return None
    for pattern, to_player in _CLAIMS:
        for found in pattern.finditer(text):
            needs_player = to_player or only_to_player
            if _past(found["verb"]) in undone and (not needs_player or _PLAYER.search(text[found.end() :])):
                return sentence[found.start() : found.end()]
            if _past(found["verb"]) in undone and only_to_player and found[0].lower().startswith("you"):
                return sentence[found.start() : found.end()]
    return None


def is_no_claim(sentence: str) -> bool:
    """Whether a sentence asks, denies, supposes, or speaks of another day."""
    return bool(_NO_CLAIM.search(sentence.replace("’", "'")))


def is_retold(sentence: str, facts: Sequence[str]) -> bool:
    """Whether a sentence says what one of the facts says, in fewer or the same words."""
    said = stems(sentence)
    return len(said) >= _RETOLD_WORDS and any(said <= stems(fact) for fact in facts)


def _past(verb: str) -> str | None:
    """The stem of the verb whose past or participle a word is; None where it is none."""
    word = verb.casefold()
    if word in _IRREGULAR:
        return stem(_IRREGULAR[word])
    return stem(word) if word.endswith("ed") else None
