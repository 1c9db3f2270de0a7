"""Every rule with its code: what `npc-engine sheet lint` runs. docs/lint.md has a chapter for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from npc_engine.sheets.lint import facts, prompting, speech, upkeep, visibility
from npc_engine.sheets.lint.context import Context
from npc_engine.sheets.lint.finding import Finding, Severity
from npc_engine.sheets.lint.models import NO_MODELS, Models
from npc_engine.sheets.lint.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of finding.

    Attributes:
        code: Stable; scripts and comments name it.
        name: The same in words.
        severity: How much it matters.
        summary: What it says, in one sentence.
        check: Finds it.
        nli: What it finds beside with an NLI model; empty where none is asked.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    check: Callable[[Context], Iterator[Finding]]
    nli: str = ""


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def _rule(
    code: str,
    name: str,
    severity: Severity,
    summary: str,
    check: Callable[[Context], Iterator[Finding]],
    nli: str = "",
) -> Rule:
    return Rule(code=code, name=name, severity=severity, summary=summary, check=check, nli=nli)


RULES: dict[str, Rule] = {
    rule.code: rule
    for rule in (
        _rule(
            "SL001",
            "contradicting-facts",
            _ERROR,
            "Two facts that can hold at once cannot both be true.",
            facts.contradicting,
            nli="contradictions in other words",
        ),
        _rule(
            "SL002",
            "repeated-fact",
            _WARNING,
            "Two facts say the same.",
            facts.repeating,
            nli="the same said in other words",
        ),
        _rule("SL003", "never-holds", _ERROR, "A condition can never hold.", visibility.never_holds),
        _rule("SL004", "always-holds", _WARNING, "A condition always holds.", visibility.always_holds),
        _rule(
            "SL005",
            "secret-given-away",
            _ERROR,
            "A text that is there earlier says a secret.",
            visibility.secret_given_away,
            nli="secrets that follow from another text",
        ),
        _rule(
            "SL006",
            "outside-scope",
            _WARNING,
            "The character knows what the sheet says that she does not.",
            visibility.outside_scope,
        ),
        _rule("SL007", "catchphrase", _WARNING, "A catchphrase will take over.", speech.catchphrases),
        _rule("SL008", "avoided-word", _WARNING, "An authored text uses an avoided word.", speech.avoided_words),
        _rule("SL009", "fact-in-voice", _WARNING, "A voice example holds a figure or a fact.", speech.facts_in_voice),
        _rule("SL010", "thin-fallbacks", _WARNING, "A fallback has one line, or one twice.", speech.fallbacks),
        _rule(
            "SL011",
            "confusable-actions",
            _WARNING,
            "The model cannot tell two actions or arguments apart.",
            prompting.confusable_actions,
        ),
        _rule("SL012", "instructs-engine", _ERROR, "Text gives the model orders.", prompting.instructs_engine),
        _rule("SL013", "over-budget", _ERROR, "The prompt leaves no room for a talk.", prompting.over_budget),
        _rule("SL014", "untested", _NOTE, "No test covers what can go wrong worst.", upkeep.untested),
        _rule("SL015", "price-without-number", _WARNING, "A fact is tagged with a price.", facts.price_without_number),
        _rule("SL016", "wrong-person", _WARNING, "A text is in the wrong grammatical person.", facts.wrong_person),
        _rule("SL017", "no-schema-comment", _NOTE, "Editors do not know the schema.", upkeep.no_schema_comment),
        _rule("SL018", "examples-left-out", _NOTE, "Example turns do not fit.", prompting.examples_left_out),
    )
}


def lint(subject: Subject, models: Models = NO_MODELS, *, codes: Iterable[str] = tuple(RULES)) -> list[Finding]:
    """Run rules over a sheet.

    Args:
        subject: The sheet.
        models: What is installed; rules do less without, see `Rule.nli`.
        codes: Which rules.

    Returns:
        The findings by file and line, those that a `lint: ignore` comment covers left out.
    """
    context = Context(subject, models)
    found = dict.fromkeys(one for code in codes for one in RULES[code].check(context))
    kept = (one for one in found if not subject.is_ignored(one))
    return sorted(kept, key=lambda one: (str(one.path), one.line, one.column, one.code))
