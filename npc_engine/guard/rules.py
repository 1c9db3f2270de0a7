"""What strings alone tell about a sentence: made-up numbers and names, slips out of the world, secrets, false deeds.

Without a model; what they cannot see is left to the NLI model. Each rule
returns the reasons it found, the span as it stands in the sentence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources

from npc_engine.guard.deeds import claimed, is_no_claim, is_retold
from npc_engine.guard.quantities import Quantity, quantities, unexplained
from npc_engine.guard.verdict import Deeds, Reason, ReasonKind, Statement, Thresholds
from npc_engine.guard.words import find_phrase, stems, words

# A run of so many words of the prompt's rules is a quotation of them.
QUOTED_WORDS = 6
# A capital after one of these begins a sentence or a quotation.
_INITIAL = re.compile(r"(?:^|[.!?…:;]\s*|[\"“”„«»(\[]|['’‘](?=\w)|—\s*|--\s*)$")
_CAPITALISED = re.compile(r"(?<![\w'’-])[A-Z][\w]+(?:['’-]\w+)*")
_DENIAL = re.compile(r"\?|\b(?:no|not|never|nothing|what|whatever|unknown|\w+n['’]t)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Phrases:
    """`phrases.toml`, compiled."""

    patterns: dict[str, tuple[re.Pattern[str], ...]]
    other_world: tuple[str, ...]
    capitalised: frozenset[str]
    narration: str


@lru_cache(maxsize=1)
def phrases() -> Phrases:
    """The phrases of `phrases.toml`."""
    table = tomllib.loads(resources.files("npc_engine.guard").joinpath("phrases.toml").read_text(encoding="utf-8"))
    return Phrases(
        patterns={
            name: tuple(re.compile(pattern, re.IGNORECASE) for pattern in table[name])
            for name in ("assistant", "instruction", "deed", "deed_to_player")
        },
        other_world=tuple(table["other_world"]),
        capitalised=frozenset(table["capitalised"]),
        narration="|".join(table["narration"]),
    )


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What numbers and names of a sentence may come from.

    Attributes:
        line: What the player said now.
        talk: What both said before.
        told: What the model was told: the stable prompt, the premises, the results.
        world: Everything else the sheet says; only its words count, as words of this world.
        world_words: The words of `world`, where the caller has them already.
    """

    line: str = ""
    talk: Sequence[str] = ()
    told: Sequence[str] = ()
    world_words: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """Every number that may be said."""
        return tuple(one for text in (self.line, *self.talk, *self.told) for one in quantities(text))

    @cached_property
    def counts(self) -> tuple[Quantity, ...]:
        """The numbers the player asks with."""
        return tuple(quantities(self.line))

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that was said or told."""
        return frozenset(word for text in (self.line, *self.talk, *self.told) for word in _parts(text))

    @cached_property
    def own_words(self) -> frozenset[str]:
        """Words of the sheet's world, whoever says them."""
        return frozenset(word for text in self.told for word in _parts(text)) | self.world_words

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of what was said or told."""
        return frozenset().union(*(stems(text) for text in (self.line, *self.talk, *self.told)))


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """What the rules look at beside the sentence.

    Attributes:
        speaker: The character's name.
        allowed: What may be said.
        avoid: Words and phrases that the character never uses.
        instructions: The prompt's rules, which are not to be quoted.
        hidden: Statements that must not be said now.
        public_stems: Stems of all statements that are not hidden: words that give nothing away.
        deeds: Whether the sentence may say that something was just done.
        undone: Stems of the verbs of actions that the game can run and has not run: see `guard/deeds.py`.
        facts: What holds and may be retold, deeds of old included.
    """

    speaker: str = ""
    allowed: Allowed = field(default_factory=Allowed)
    avoid: Sequence[str] = ()
    instructions: Sequence[str] = ()
    hidden: Sequence[Statement] = ()
    public_stems: frozenset[str] = frozenset()
    deeds: Deeds = "free"
    undone: frozenset[str] = frozenset()
    facts: Sequence[str] = ()


def broken_rules(sentence: str, context: RuleContext, thresholds: Thresholds) -> tuple[Reason, ...]:
    """Every reason of every rule, most telling first."""
    return (
        *secrets(sentence, context, thresholds),
        *_patterns("instruction", sentence),
        *quoted_instructions(sentence, context.instructions),
        *_patterns("assistant", sentence),
        *other_world(sentence, context.allowed),
        *avoided(sentence, context.avoid),
        *stage_directions(sentence, context.speaker),
        *false_deeds(sentence, context),
        *numbers(sentence, context.allowed),
        *names(sentence, context),
    )


def numbers(sentence: str, allowed: Allowed) -> Iterator[Reason]:
    """Numbers, prices, times and measures that nothing allowed says."""
    for one in unexplained(sentence, allowed.quantities, counts=allowed.counts):
        yield _reason("number", sentence[one.start : one.end])


def names(sentence: str, context: RuleContext) -> Iterator[Reason]:
    """Capitalised words within the sentence that nobody has said: a name the model made up.

    What is not covered: a made-up name as the first word, where every word has a capital.
    """
    for found in _CAPITALISED.finditer(sentence):
        if _INITIAL.search(sentence[: found.start()].rstrip(" ")) or found[0].isupper():
            continue
        parts = _parts(found[0])
        known = context.allowed.words | phrases().capitalised | context.allowed.world_words
        if not all(part in known or part.removesuffix("s") in known for part in parts):
            yield _reason("name", found[0])


def other_world(sentence: str, allowed: Allowed) -> Iterator[Reason]:
    """Things that this world does not have, unless the character denies or wonders at what the player named."""
    for phrase in phrases().other_world:
        found = find_phrase(sentence, phrase)
        if found is None or set(_parts(phrase)) <= allowed.own_words:
            continue
        if not (find_phrase(allowed.line, phrase) and _DENIAL.search(sentence)):
            yield _reason("other_world", found[0])


def avoided(sentence: str, avoid: Iterable[str]) -> Iterator[Reason]:
    """Words that the sheet rules out."""
    for phrase in avoid:
        if found := find_phrase(sentence, phrase):
            yield _reason("avoided", found[0])


def stage_directions(sentence: str, speaker: str) -> Iterator[Reason]:
    """Marks that cleaning left, and narration in the third person."""
    if found := re.search(r"[*\[\]<>{}|#]+", sentence):
        yield _reason("stage_direction", found[0])
    subjects = "|".join(["she", "he", "they", *(re.escape(name) for name in speaker.split())])
    if found := re.match(rf"(?:{subjects})\s+(?:\w+ly\s+)?(?:{phrases().narration})\b", sentence, re.IGNORECASE):
        yield _reason("stage_direction", found[0])


def quoted_instructions(sentence: str, instructions: Iterable[str]) -> Iterator[Reason]:
    """Runs of `QUOTED_WORDS` words of the prompt's rules."""
    said = words(sentence)
    runs = {tuple(said[at : at + QUOTED_WORDS]) for at in range(len(said) - QUOTED_WORDS + 1)}
    for text in instructions:
        rule = words(text)
        for at in range(len(rule) - QUOTED_WORDS + 1):
            if (run := tuple(rule[at : at + QUOTED_WORDS])) in runs:
                yield _reason("instruction", " ".join(run))
                return


def deeds(sentence: str) -> Iterator[Reason]:
    """Claims that something was just done, handed over or agreed."""
    if not sentence.rstrip().endswith("?"):
        yield from _patterns("deed", sentence)


def false_deeds(sentence: str, context: RuleContext) -> Iterator[Reason]:
    """Claims of deeds that no result bears out; one at most.

    Where nothing was done on a task, any claim of a deed; where something else was done, a claim of an action that was
    not; elsewhere in a talk with a game that runs actions, a claim that something was done for the player.
    """
    is_task = context.deeds != "free"
    found: list[Reason] = []
    if span := claimed(sentence, context.undone, only_to_player=not is_task):
        found.append(_reason("deed", span))
    elif context.deeds == "none":
        found += deeds(sentence)
    if not found and context.deeds != "by_result" and context.undone and not is_no_claim(sentence):
        found += _patterns("deed", sentence, "deed_to_player")
    if found and not is_retold(sentence, context.facts):
        yield found[0]


def is_deed(sentence: str) -> bool:
    """Whether the sentence says that something was just done."""
    return any(True for _ in deeds(sentence))


def secrets(sentence: str, context: RuleContext, thresholds: Thresholds) -> Iterator[Reason]:
    """Hidden statements that the sentence's own rare words give away.

    A rare word of a hidden statement is one that no other statement, no prompt and no player said. So many of them
    (`secret_words`), or one where sentence and player's line together hold most of the statement, and it is said.
    """
    said = stems(sentence)
    asked = stems(context.allowed.line)
    explained = context.public_stems | context.allowed.stems
    for statement in context.hidden:
        content = stems(statement.text)
        rare = (content - explained) & said
        share = len(content & (said | asked)) / max(1, len(content))
        wanted = min(thresholds.secret_words, max(1, len(content - explained)))
        if rare and (len(rare) >= wanted or share >= thresholds.secret_share):
            yield Reason(kind="secret", statement_id=statement.id, score=1.0, span=sentence)


def _patterns(kind: ReasonKind, sentence: str, table: str | None = None) -> Iterator[Reason]:
    for pattern in phrases().patterns[table or kind]:
        if found := pattern.search(sentence.replace("’", "'")):
            yield _reason(kind, sentence[found.start() : found.end()])
            return


def _reason(kind: ReasonKind, span: str) -> Reason:
    return Reason(kind=kind, statement_id=None, score=1.0, span=span)


def _parts(text: str) -> list[str]:
    return [part for word in words(text) for part in re.split(r"['’-]", word) if part]
