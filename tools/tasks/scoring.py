"""Turns of recorded dialogues, as somebody had them, to counts: calls beside gold's, and replies by strings.

Somebody is the engine, a floor, or gold itself: gold's own rates are what the string checks must be read against.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from npc_engine.guard.flanderization import VoiceLexicon, flanderization_index
from npc_engine.playtest.scores.checks import numbers
from tools.evaluation.nli import CONTRADICTION, Nli
from tools.tasks import speech
from tools.tasks.calls import Call, causes, compare, is_valid, word_f1
from tools.tasks.claims import claimed_deeds
from tools.tasks.cpdc import Episode
from tools.tasks.game import as_result
from tools.tasks.procedures import Needs, violations
from tools.tasks.sheets import is_look_up, sentences

NLI_DECIDES = 0.5
# A run of so many words that so many replies of one talk share is a phrase that comes again.
REPEATED_WORDS, REPEATED_REPLIES = 4, 3

# What each measure counts; those of HIGHER_IS_WORSE are bad when high, those of NEITHER say nothing by themselves.
CALL_MEASURES = {
    "call name F1": "calls matched by name, twice, of calls wanted and made",
    "exact-call F1": "the same by name and every argument",
    "soft F1": "the same, searches by money and word overlap",
    "whole turn exact": "turns with exactly the calls wanted, none included",
    "over-call": "turns with a call where none is wanted",
    "under-call": "turns without a call where one is wanted",
    "valid": "calls that fit the declaration",
    "procedure violations": "calls before a step that gold never leaves out",
}
SPEECH_MEASURES = {
    "grounded numbers": "replies with a number, all of whose numbers stand in results, talk, record",
    "claims without an action": "replies after no successful action that say that one was done",
    "contradicts results": "replies after data that deny knowing, or whose numbers are all others",
    "contradiction (NLI)": "claims that contradict a result or a named item",
    "exclamation marks": "a reply",
    "stock phrases": "replies with one",
    "archaic words": "of all words",
    "asterisks": "replies with one",
    "unprompted persona words": "replies with a word that only the persona has",
    "phrase comes again": f"replies with {REPEATED_WORDS} words that {REPEATED_REPLIES} replies of the talk share",
    "flanderization index": "mean over replies",
    "word-F1 to gold": "mean over replies; for regression only",
    "chrF to gold": "mean over replies, 0 to 1; for regression only",
}
HIGHER_IS_WORSE = frozenset(
    {
        "over-call",
        "under-call",
        "procedure violations",
        "claims without an action",
        "contradicts results",
        "contradiction (NLI)",
        "stock phrases",
        "asterisks",
        "phrase comes again",
    }
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What somebody did in one turn.

    Attributes:
        calls: Under gold's names.
        results: The game's answer to each call, in order; empty maps where it had none.
        reply: What was said; None where speaking was skipped.
    """

    calls: tuple[Call, ...]
    results: tuple[Mapping[str, Any], ...] = ()
    reply: str | None = None


@dataclass
class Tally:
    """One dialogue's counts by measure, and what went wrong.

    Attributes:
        counts: By measure: hits and cases.
        causes: How often each cause of a wrong call.
        lengths: Words of each reply.
        faults: A record each: turn, measure, line, what was done, what was wanted.
    """

    counts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    causes: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)

    def add(self, measure: str, hit: float, *, cases: float = 1.0) -> None:
        """Count."""
        self.counts[measure][0] += hit
        self.counts[measure][1] += cases


async def tally(episode: Episode, outcomes: Sequence[Outcome], *, needs: Needs, nli: Nli | None = None) -> Tally:
    """Score one dialogue; each turn is scored after gold's turns before it, as it was had.

    Args:
        episode: The dialogue, with the calls that are wanted.
        outcomes: One a turn.
        needs: Which actions need which before them.
        nli: Judges pairs; None leaves its measure without cases.
    """
    found = Tally()
    earlier: list[Call] = []
    for number, (turn, outcome) in enumerate(zip(episode.turns, outcomes, strict=True)):
        _score_calls(found, episode, number, outcome, earlier, needs)
        if outcome.reply is not None:
            _score_reply(found, episode, number, outcome)
            if nli is not None:
                await _score_claims(found, episode, outcome, nli)
        earlier += turn.calls
    _score_repeats(found, [outcome.reply for outcome in outcomes if outcome.reply is not None])
    return found


def gold_outcomes(episode: Episode) -> list[Outcome]:
    """What gold did."""
    return [
        Outcome(calls=turn.calls, results=tuple(as_result(one.result) for one in turn.gold), reply=turn.reply)
        for turn in episode.turns
    ]


# --- calls ----------------------------------------------------------------------------------------


def _score_calls(
    found: Tally, episode: Episode, number: int, outcome: Outcome, earlier: Sequence[Call], needs: Needs
) -> None:
    turn = episode.turns[number]
    matches = compare(turn.calls, outcome.calls)
    both = matches.num_wanted + matches.num_called
    found.add("call name F1", 2 * matches.name, cases=both)
    found.add("exact-call F1", 2 * matches.exact, cases=both)
    found.add("soft F1", 2 * matches.soft, cases=both)
    found.add("whole turn exact", matches.is_whole)
    if turn.calls:
        found.add("under-call", not outcome.calls)
    else:
        found.add("over-call", bool(outcome.calls))
    for call in outcome.calls:
        found.add("valid", is_valid(call, episode.functions))
    broken = violations(outcome.calls, earlier=earlier, needs=needs)
    found.add("procedure violations", len(broken), cases=len(outcome.calls))
    wrong = causes(turn.calls, outcome.calls)
    found.causes.update(wrong)
    for cause in [*wrong, *(["procedure violation"] if broken else [])]:
        found.faults.append(
            {
                "turn": number,
                "measure": cause,
                "line": turn.line,
                "did": "; ".join(map(shown, outcome.calls)) or "no call",
                "wanted": "; ".join(map(shown, turn.calls)) or "no call",
            }
        )


def shown(call: Call) -> str:
    """A call in one line."""
    return f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"


# --- replies --------------------------------------------------------------------------------------


def _score_reply(found: Tally, episode: Episode, number: int, outcome: Outcome) -> None:
    turn, reply = episode.turns[number], outcome.reply or ""
    persona = list(episode.persona.values())
    around = [*_record_texts(episode), *_talk_texts(episode, number), *_result_texts(outcome.results)]
    found.lengths.append(speech.num_words(reply))
    if numbers(reply):
        loose = speech.loose_numbers(reply, [*around, *persona])
        found.add("grounded numbers", not loose)
        if loose:
            _fault(
                found, number, "number from nowhere", turn.line, reply, ", ".join(f"{one:g}" for one in sorted(loose))
            )
    if not any(_acts(call, episode) for call in outcome.calls):
        deeds = claimed_deeds(reply)
        found.add("claims without an action", bool(deeds))
        if deeds:
            _fault(found, number, "claim without an action", turn.line, reply, deeds[0])
    if any(outcome.results):
        is_contradicted = speech.contradicts_results(reply, outcome.results)
        found.add("contradicts results", is_contradicted)
        if is_contradicted:
            _fault(found, number, "contradicts results", turn.line, reply, "; ".join(_result_texts(outcome.results)))
    found.add("exclamation marks", speech.num_exclamations(reply))
    found.add("stock phrases", speech.has_stock_phrase(reply))
    found.add("archaic words", speech.num_archaic(reply), cases=speech.num_words(reply))
    found.add("asterisks", speech.has_asterisk(reply))
    found.add("unprompted persona words", bool(speech.unprompted_persona(reply, persona, around)))
    found.add("flanderization index", flanderization_index(reply, _lexicon(episode)))
    found.add("word-F1 to gold", word_f1(turn.reply, reply))
    found.add("chrF to gold", speech.chrf(reply, turn.reply))


def _lexicon(episode: Episode) -> VoiceLexicon:
    """The persona's traits and hobbies as trademarks; these records have no catchphrases and no examples of voice."""
    traits = tuple(
        sentence
        for heading, text in episode.persona.items()
        if "trait" in heading or "hobb" in heading
        for sentence in sentences(text)
    )
    return VoiceLexicon(quirks=traits)


def _score_repeats(found: Tally, replies: Sequence[str]) -> None:
    runs = [_runs(reply) for reply in replies]
    shared = {run for run, count in Counter(run for each in runs for run in each).items() if count >= REPEATED_REPLIES}
    for each in runs:
        found.add("phrase comes again", bool(each & shared))


def _runs(reply: str) -> set[tuple[str, ...]]:
    words = reply.casefold().split()
    return {tuple(words[start : start + REPEATED_WORDS]) for start in range(len(words) - REPEATED_WORDS + 1)}


async def _score_claims(found: Tally, episode: Episode, outcome: Outcome, nli: Nli) -> None:
    reply = outcome.reply or ""
    named = [item for item in episode.items if item["name"] and item["name"].casefold() in reply.casefold()]
    premises = [
        *(sentence for text in _result_texts(outcome.results) for sentence in sentences(text)),
        *(f"{item['name']} is a {item['type']}. {item['description']}" for item in named),
    ]
    claims = [one for one in sentences(reply) if not one.rstrip().endswith("?") and len(one.split()) > 2]
    if not premises:
        return
    for claim in claims:
        scores = await nli.scores([(premise, claim) for premise in premises])
        found.add("contradiction (NLI)", bool((scores[:, CONTRADICTION] >= NLI_DECIDES).any()))


def _fault(found: Tally, number: int, measure: str, line: str, reply: str, detail: str) -> None:
    found.faults.append({"turn": number, "measure": measure, "line": line, "did": reply, "wanted": detail})


def _acts(call: Call, episode: Episode) -> bool:
    """Whether a call is of a function that does something; a lookup does nothing that could be claimed."""
    function = next((one for one in episode.functions if one["name"] == call.name), None)
    return function is not None and not is_look_up(function)


def _record_texts(episode: Episode) -> list[str]:
    items = [f"{item['name']} {item['type']} {item['description']}" for item in episode.items]
    functions = [str(function["description"]) for function in episode.functions]
    return [episode.worldview, episode.role, *episode.state.values(), *items, *episode.general, *functions]


def _talk_texts(episode: Episode, number: int) -> list[str]:
    before = [
        text
        for turn in episode.turns[:number]
        for text in (turn.line, turn.reply, *_result_texts([as_result(one.result) for one in turn.gold]))
    ]
    return [*before, episode.turns[number].line]


def _result_texts(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each result as a text, and how many things it lists: to count them is no invention."""
    return [
        f"{speech.result_text(result)} ({', '.join(map(str, speech.counts(result)))})" for result in results if result
    ]
