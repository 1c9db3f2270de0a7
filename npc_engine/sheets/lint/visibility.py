"""Rules about who can know what, and when: conditions that cannot hold, secrets given away, knowledge out of scope."""

from __future__ import annotations

import math
from collections.abc import Iterator

from npc_engine.sheets.conditions import Condition
from npc_engine.sheets.lint.context import ENTAILMENT, PROBABILITY, RARE, Context
from npc_engine.sheets.lint.facts import named_phrase, rare_shared
from npc_engine.sheets.lint.finding import Edit, Finding
from npc_engine.sheets.lint.satisfiable import can_fail, can_hold, dead_parts, implies
from npc_engine.sheets.lint.subject import PlacedFact, Text
from npc_engine.sheets.lint.words import numbers, stems

# Share of a secret's words, weighted by how rare they are, from which another text gives it away; a smaller share is
# enough where two of the shared words stand nowhere else. Source: chosen by hand; no text of the shipped sheets reaches
# either.
GIVEN_AWAY = 0.6
GIVEN_AWAY_RARE = 0.35


def never_holds(lint: Context) -> Iterator[Finding]:
    """SL003: a condition that no state of the game can make true, or an alternative in it that none can."""
    for where, condition in _conditions(lint):
        if not can_hold(condition):
            yield lint.subject.found(
                "SL003",
                where,
                f"`{condition.text}` can never hold, so nobody ever sees this",
                hint="the parts exclude each other: write `or`, or mend a number",
            )
            continue
        for part in dead_parts(condition):
            yield lint.subject.found(
                "SL003",
                where,
                f"the part `{part}` of `{condition.text}` can never hold",
                hint="take it out, or mend a number",
            )
    for placed in lint.subject.facts:
        if not placed.is_own and placed.fact.when is not None and not can_hold(placed.fact.when):
            yield from _lost_lore(lint, placed)


def always_holds(lint: Context) -> Iterator[Finding]:
    """SL004: a condition that nothing can make false hides nothing."""
    for where, condition in _conditions(lint):
        if can_fail(condition):
            continue
        line = where.document.keys[where.path].line
        is_secret = where.path[0] == "facts" and lint.subject.sheet.facts[int(where.path[1])].secret
        written = lint.subject.lines(where.document.path)[line - 1].strip()
        can_go = not is_secret and where.path[0] != "knowledge" and written.startswith("when:")
        yield lint.subject.found(
            "SL004",
            where,
            f"`{condition.text}` always holds" + (", so the secret is told to everybody" if is_secret else ""),
            hint="raise the number" if is_secret else "leave `when` out",
            fix=Edit(path=where.document.path, line=line, end_line=line) if can_go else None,
        )


def secret_given_away(lint: Context) -> Iterator[Finding]:
    """SL005: a text that is there before the secret may be told says it, or most of it."""
    for secret in lint.subject.facts:
        if not secret.fact.secret:
            continue
        earlier = [*lint.subject.always, *_told_earlier(lint, secret)]
        told = [where for where in earlier if _gives_away(lint, where.text, secret.fact.text)]
        for where in told:
            shared = ", ".join(sorted(stems(where.text) & stems(secret.fact.text)))
            yield _given_away(lint, where, secret, f"they share: {shared}")
        rest = [where for where in earlier if where not in told and stems(where.text) & stems(secret.fact.text)]
        scores = lint.judged([(where.text, secret.fact.text) for where in rest])[:, ENTAILMENT]
        for where, score in zip(rest, scores, strict=True):
            if score >= PROBABILITY:
                yield _given_away(lint, where, secret, "it follows from this text", score=float(score))


def outside_scope(lint: Context) -> Iterator[Finding]:
    """SL006: a fact about what the sheet says the character knows nothing of; lore about the character herself."""
    sheet = lint.subject.sheet
    for placed in lint.subject.facts:
        for topic in sheet.unknown_topics:
            word = named_phrase(placed.fact.text, topic.keywords)
            if word:
                yield lint.subject.found(
                    "SL006",
                    placed.text,
                    f"`{placed.fact.id}` is about {topic.topic!r}, of which the character knows nothing: `{word}`",
                    words=word,
                    hint="take the fact out, or choose another keyword for the topic",
                )
    for placed in lint.subject.facts:
        if not placed.is_own and sheet.identity.name in placed.fact.text:
            reference = next(i for i, one in enumerate(sheet.knowledge) if one.lore == placed.fact.source)
            yield lint.subject.found(
                "SL006",
                lint.subject.text_at("knowledge", reference, "lore"),
                f"the lore entry `{placed.fact.id}` is about the character, in the third person",
                hint="leave its scope out, and write what she says about herself as a fact of her own",
            )


def _conditions(lint: Context) -> Iterator[tuple[Text, Condition]]:
    """The conditions that stand in the sheet's own file."""
    sheet = lint.subject.sheet
    for placed in lint.subject.facts:
        if placed.is_own and placed.fact.when is not None:
            yield lint.subject.text_at(*placed.path, "when"), placed.fact.when
    for index, reference in enumerate(sheet.knowledge):
        if reference.when is not None:
            yield lint.subject.text_at("knowledge", index, "when"), reference.when
    for index, action in enumerate(sheet.actions):
        if action.when is not None:
            yield lint.subject.text_at("actions", index, "when"), action.when


def _lost_lore(lint: Context, placed: PlacedFact) -> Iterator[Finding]:
    """A lore entry whose condition cannot hold, alone or together with the sheet's condition on its file."""
    index = next(i for i, one in enumerate(lint.subject.sheet.knowledge) if one.lore == placed.fact.source)
    reference = lint.subject.sheet.knowledge[index].when
    if reference is not None and not can_hold(reference):
        return
    where = Text(placed.document, (*placed.path, "when"), "")
    if reference is None:
        text = placed.fact.when.text if placed.fact.when else ""
        yield lint.subject.found(
            "SL003", where, f"`{text}` can never hold, so nobody ever sees this", hint="mend a number"
        )
    else:
        yield lint.subject.found(
            "SL003",
            lint.subject.text_at("knowledge", index, "when"),
            f"`{reference.text}` and the condition of the lore entry `{placed.fact.id}` exclude each other",
            hint="leave its scope out, or change one of the two",
        )


def _told_earlier(lint: Context, secret: PlacedFact) -> Iterator[Text]:
    """Facts that may be told where the secret may not."""
    for placed in lint.subject.facts:
        if placed.fact.id != secret.fact.id and not implies(placed.fact.when, secret.fact.when):
            yield placed.text


def _gives_away(lint: Context, text: str, secret: str) -> bool:
    words = stems(secret)
    shared = words & stems(text)
    if len(shared) < 2:
        return False
    total = len(lint.subject.facts) + len(lint.subject.always)
    weight = {stem: math.log(1 + total / max(1, lint.frequency[stem])) for stem in words}
    share = sum(weight[stem] for stem in shared) / sum(weight.values())
    num_rare = len(rare_shared(text, secret, lint.frequency, RARE))
    num_rare += bool(set(numbers(text)) & {one for one in numbers(secret) if one >= 13})
    return share >= GIVEN_AWAY or (share >= GIVEN_AWAY_RARE and num_rare >= 2)


def _given_away(lint: Context, where: Text, secret: PlacedFact, because: str, *, score: float | None = None) -> Finding:
    text = where.text if len(where.text) <= 60 else where.text[:57] + "..."
    rare = sorted(rare_shared(where.text, secret.fact.text, lint.frequency, RARE))
    word = next((word for word in where.text.split() if rare and word.casefold().startswith(rare[0][:5])), "")
    return lint.subject.found(
        "SL005",
        where,
        f"{text!r} gives the secret `{secret.fact.id}` away: {because}",
        words=word,
        hint=f"say it only where {secret.fact.when.text if secret.fact.when else 'it may be told'}",
        score=score,
    )
