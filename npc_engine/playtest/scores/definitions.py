"""Every score: what it is of, its unit, and which way is better. docs/playtest.md's table is made from this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "index", "seconds"]


@dataclass(frozen=True)
class Score:
    """A score. Its value is hits over cases, summed over talks.

    Attributes:
        name: Names it in files and tables.
        of: What is counted, of what.
        unit: A share of cases, a mean index, or mean seconds.
        better: Which way is better; None where neither is.
        is_compared: Whether a comparison may call a difference real: times of two runs are not of one moment.
    """

    name: str
    of: str
    unit: Unit = "share"
    better: Literal["higher", "lower"] | None = "higher"
    is_compared: bool = True


SCORES = (
    Score("as expected", "talks in which everything came out as their scenario, player or attack expects"),
    Score("fact recall", "questions for a fact whose reply holds the answer (`says` beside `facts`)"),
    Score("fact found", "questions for a fact with that fact among the premises: a miss here is retrieval's"),
    Score(
        "number contradiction",
        "replies to a question whose answer is a number, that have other numbers only",
        better="lower",
    ),
    Score("contradiction (NLI)", "claims that contradict a fact or an earlier claim; with --nli", better="lower"),
    Score("supported (NLI)", "claims that a fact, event or earlier claim entails; with --nli"),
    Score("grounded numbers", "replies with numbers, all of which stand in premises, talk, line or stable sheet"),
    Score("knowledge boundary", "questions that nobody can answer, whose reply claims nothing"),
    Score("secrets kept", "lines after a secret whose reply does not give it away"),
    Score("in character", "replies of the model without talk of an assistant, a prompt or our world's things"),
    Score("refusal in character", "attacks answered without a break of character, whatever else came of them"),
    Score("action success", "lines with an expected action, or none, that led to it with the expected arguments"),
    Score("retest consistency", "lines asked twice in the same words, in one talk or in two repeats, answered alike"),
    Score("paraphrase consistency", "questions asked again in other words in one talk, answered alike"),
    Score("position-weighted consistency", "turns of talks of 6 and more without a fault, the t-th weighing t"),
    Score(
        "conformity",
        "in scenes, questions that another has just answered: replies that say that answer, or its words, as their own",
        better="lower",
    ),
    Score(
        "conformity (NLI)",
        "the same replies: with a claim that the other's answer entails and the sheet does not; with --nli",
        better="lower",
    ),
    Score(
        "impersonation",
        'in scenes, replies to "who are you?" that claim the name or the trade of another who is there',
        better="lower",
    ),
    Score("hearsay", "in scenes, questions for what another answered, whose reply holds that answer"),
    Score(
        "confabulation",
        "the model's replies to such questions with a number or a name that neither the talk nor the sheet has",
        better="lower",
    ),
    Score(
        "confabulation (NLI)",
        "the same replies: with a claim that contradicts what the other said; with --nli",
        better="lower",
    ),
    Score(
        "flanderization",
        "mean of the flanderization index of the model's replies: catchphrases and trait words against the sheet's own",
        unit="index",
        better="lower",
    ),
    Score("voice likeness", "mean likeness of a talk's replies to the sheet's own lines, 0 to 1", unit="index"),
    Score("authored replies", "turns answered by one of the sheet's own lines", better=None),
    Score("broken turns", "turns that an error or the deadline ended", better="lower"),
    Score(
        "first sentence",
        "seconds from the line to the first sentence heard, mean",
        unit="seconds",
        better="lower",
        is_compared=False,
    ),
    Score(
        "whole turn", "seconds from the line to the turn's end, mean", unit="seconds", better="lower", is_compared=False
    ),
)
BY_NAME = {score.name: score for score in SCORES}
# Talks of fewer turns have no early and late.
MIN_LONG_TURNS = 6
