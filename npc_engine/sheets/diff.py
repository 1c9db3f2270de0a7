"""How two versions of a sheet differ in what they mean: facts added, removed, reworded, contradicted, moved.

Facts are matched by id, then by likeness of their words or embeddings, so that a renamed fact is no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from npc_engine.sheets.lint.models import NO_MODELS, Models
from npc_engine.sheets.lint.words import frame, is_negative, numbers, words
from npc_engine.sheets.problems import dotted
from npc_engine.sheets.schema import CharacterSheet, Fact
from npc_engine.sheets.yaml_reader import KeyPath

ChangeKind = Literal[
    "added", "removed", "reworded", "contradicted", "changed meaning", "renamed", "condition", "details", "changed"
]
# Two facts with different ids that are so alike are one fact, renamed. Source: chosen by hand, not calibrated.
SAME_COSINE = 0.85
SAME_SHARE = 0.6
# The judge's starting value (docs/judge.md).
PROBABILITY = 0.8
ENTAILMENT, CONTRADICTION = 0, 2


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference.

    Attributes:
        kind: What happened. Of facts: `reworded` says the same in other words, `contradicted` says what cannot be true
            together with the old text, `changed meaning` is neither.
        key: The fact's id, or the key path of anything else.
        old: What stood there.
        new: What stands there.
        by: What told it: `text`, `encoder` or `nli`.
        score: The model's, where one did.
    """

    kind: ChangeKind
    key: str
    old: str = ""
    new: str = ""
    by: Literal["text", "encoder", "nli"] = "text"
    score: float | None = None


def diff(old: CharacterSheet, new: CharacterSheet, models: Models = NO_MODELS) -> list[Change]:
    """Every difference between two sheets, facts first; lore counts as the sheet's."""
    return [*_facts(old, new, models), *_rest(old, new)]


def _facts(old: CharacterSheet, new: CharacterSheet, models: Models) -> Iterator[Change]:
    before, after = {fact.id: fact for fact in old.facts}, {fact.id: fact for fact in new.facts}
    for fact_id, fact in before.items():
        if fact_id in after:
            yield from _compared(fact, after[fact_id], models)
    gone = [fact for fact_id, fact in before.items() if fact_id not in after]
    come = [fact for fact_id, fact in after.items() if fact_id not in before]
    matched: set[str] = set()
    for fact in gone:
        other, by, score = _alike(fact, [one for one in come if one.id not in matched], models)
        if other is None:
            yield Change(kind="removed", key=fact.id, old=fact.text)
            continue
        matched.add(other.id)
        yield Change(kind="renamed", key=other.id, old=fact.id, new=other.id, by=by, score=score)
        yield from _compared(fact, other, models)
    for fact in come:
        if fact.id not in matched:
            yield Change(kind="added", key=fact.id, new=fact.text)


def _compared(old: Fact, new: Fact, models: Models) -> Iterator[Change]:
    if old.text != new.text:
        yield _reworded(old, new, models)
    if (old.when, old.secret) != (new.when, new.secret):
        yield Change(kind="condition", key=new.id, old=_shown_when(old), new=_shown_when(new))
    if old.tags != new.tags:
        yield Change(kind="details", key=f"{new.id}.tags", old=", ".join(old.tags), new=", ".join(new.tags))
    if old.source != new.source:
        yield Change(kind="details", key=f"{new.id}.source", old=old.source, new=new.source)


def _reworded(old: Fact, new: Fact, models: Models) -> Change:
    """What became of a fact's meaning: by NLI where there is a model, else by words, numbers and embeddings."""

    def change(kind: ChangeKind, by: Literal["text", "encoder", "nli"], score: float | None = None) -> Change:
        return Change(kind=kind, key=new.id, old=old.text, new=new.text, by=by, score=score)

    if words(old.text) == words(new.text):
        return change("reworded", "text")
    about, now = frame(old.text), frame(new.text)
    is_same_claim = numbers(old.text) == numbers(new.text) and is_negative(old.text) == is_negative(new.text)
    if about == now and not is_same_claim:
        return change("contradicted", "text")
    if models.nli is not None:
        there, back = models.nli.scores_now([(old.text, new.text), (new.text, old.text)])
        against = float(max(there[CONTRADICTION], back[CONTRADICTION]))
        if against >= PROBABILITY:
            return change("contradicted", "nli", against)
        both = float(min(there[ENTAILMENT], back[ENTAILMENT]))
        return change("reworded" if both >= PROBABILITY else "changed meaning", "nli", both)
    if models.encoder is not None:
        a, b = models.encoder.embed([old.text, new.text])
        cosine = float(a @ b)
        return change("reworded" if is_same_claim and cosine >= SAME_COSINE else "changed meaning", "encoder", cosine)
    share = len(about & now) / max(1, len(about | now))
    return change("reworded" if is_same_claim and share >= SAME_SHARE else "changed meaning", "text", share)


def _alike(
    fact: Fact, others: Sequence[Fact], models: Models
) -> tuple[Fact | None, Literal["text", "encoder"], float | None]:
    """The fact that this one most likely became, and by what it was told."""
    if not others:
        return None, "text", None
    exact = next((one for one in others if words(one.text) == words(fact.text)), None)
    if exact is not None:
        return exact, "text", None
    if models.encoder is not None:
        vectors = models.encoder.embed([fact.text, *(one.text for one in others)])
        scores = vectors[1:] @ vectors[0]
        best = int(scores.argmax())
        return (others[best], "encoder", float(scores[best])) if scores[best] >= SAME_COSINE else (None, "text", None)
    about = frame(fact.text)
    shares = [len(about & frame(one.text)) / max(1, len(about | frame(one.text))) for one in others]
    best = max(range(len(others)), key=shares.__getitem__)
    return (others[best], "text", shares[best]) if shares[best] >= SAME_SHARE else (None, "text", None)


def _rest(old: CharacterSheet, new: CharacterSheet) -> Iterator[Change]:
    """Everything but facts, value by value."""
    left, right = (
        dict(_values(sheet.model_dump(mode="json", by_alias=True, exclude={"facts"}), ())) for sheet in (old, new)
    )
    for path in dict.fromkeys([*left, *right]):
        before, after = left.get(path), right.get(path)
        if before == after:
            continue
        kind: ChangeKind = "changed"
        if path not in left or before is None:
            kind = "added"
        elif path not in right or after is None:
            kind = "removed"
        yield Change(kind=kind, key=dotted(path), old=_shown(before), new=_shown(after))


def _values(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _values(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            # Entries with a name are the same entry wherever they stand.
            name = (value.get("name") or value.get("topic")) if isinstance(value, dict) else None
            yield from _values(value, (*path, str(name) if name else index))
    else:
        yield path, data


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _shown_when(fact: Fact) -> str:
    when = fact.when.text if fact.when else "always"
    return f"{when}, secret" if fact.secret else when
