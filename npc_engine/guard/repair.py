"""Mend a sentence with as small a change as will do: the wrong number or name by the premise's.

The mended sentence is judged again by whoever asked. Source: minimal edits of hallucinated entities, Chen et al. 2021,
Improving Faithfulness in Abstractive Summarization with Contrast Candidate Generation and Selection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from npc_engine.guard.quantities import Quantity, quantities
from npc_engine.guard.verdict import Reason, Statement, Verdict

_NAME = re.compile(r"(?<![.!?…:;] )(?<!^)(?<![\w'’-])[A-Z]\w+(?:[ '’-](?:of the |of )?[A-Z]\w+)*")


def edited(verdict: Verdict, active: Sequence[Statement]) -> str | None:
    """The sentence with its wrong spans replaced from the best active statement that says which is right.

    Args:
        verdict: What was wrong with the sentence.
        active: The premises, best first.

    Returns:
        A sentence that differs, not judged yet; None where a reason is not of this kind or no single span fits.
    """
    if not verdict.reasons:
        return None
    sentence = verdict.sentence
    for reason in verdict.reasons:
        changed = _mended(sentence, reason, active)
        if changed is None:
            return None
        sentence = changed
    return sentence if sentence != verdict.sentence else None


def _mended(sentence: str, reason: Reason, active: Sequence[Statement]) -> str | None:
    if reason.kind == "number":
        wrong = [one for one in quantities(sentence) if sentence[one.start : one.end] == reason.span]
        return _with_number(sentence, wrong[0], active) if wrong else sentence
    if reason.kind == "name":
        return _with_name(sentence, reason.span, active)
    if reason.kind == "contradiction":
        against = [statement for statement in active if statement.id == reason.statement_id]
        said = quantities(sentence)
        if against and len(said) == 1:
            return _with_number(sentence, said[0], against)
    return None


def _with_number(sentence: str, wrong: Quantity, active: Sequence[Statement]) -> str | None:
    for statement in active:
        fitting = [one for one in quantities(statement.text) if wrong.kind in (one.kind, None)]
        if len(fitting) > 1 and wrong.unit is not None:
            fitting = [one for one in fitting if one.unit == wrong.unit]
        if not fitting:
            continue
        if len(fitting) > 1:
            return None  # which of them is meant is not for a rule to guess
        right = fitting[0]
        # Without a unit the wrong number is in front of a word that stays: "fifty swords".
        end = right.end if wrong.unit is not None else right.number_end
        number = statement.text[right.start : end]
        if wrong.start == 0:
            number = number[:1].upper() + number[1:]
        return sentence[: wrong.start] + number + sentence[wrong.end :]
    return None


def _with_name(sentence: str, wrong: str, active: Sequence[Statement]) -> str | None:
    for statement in active:
        names = list(dict.fromkeys(names_in(statement.text)))
        if len(names) == 1:
            # A made-up name of several words is one reason a word; the first takes all of them with it.
            whole = re.search(rf"{re.escape(wrong)}(?: [A-Z]\w+)*", sentence)
            return sentence if whole is None else sentence[: whole.start()] + names[0] + sentence[whole.end() :]
        if names:
            return None
    return None


def names_in(text: str) -> Iterator[str]:
    """The capitalised names within a text, not those it begins with."""
    for found in _NAME.finditer(text):
        yield re.sub(r"['’]s$", "", found[0])
