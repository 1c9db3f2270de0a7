"""Speak: say the reply sentence by sentence, each judged before it leaves, or an authored line.

With `guard = "off"` the first sentence streams as its words come. With any other guard nothing of a sentence leaves
before its verdict. Later sentences are held until they are whole and known to fit, since what was sent cannot be taken
back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from npc_engine.dialogue.controls import LengthBudget
from npc_engine.dialogue.drafting import Draft, reply_params, speech_cleaner, speech_prompt
from npc_engine.dialogue.events import FinishReason, ReplySource, Sentence, Token, TurnEvent
from npc_engine.dialogue.grounding import ANSWERS_SCORE, Premise
from npc_engine.dialogue.judging import Bench, answers, open_bench
from npc_engine.dialogue.prompt import Prompt
from npc_engine.guard.segments import SentenceBuffer, is_whole
from npc_engine.guard.verdict import ReasonKind
from npc_engine.sheets.controls import Route
from npc_engine.sheets.schema import FallbackReason

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn

# Which authored line stands in for a sentence, by what was wrong with it; `unknown` for what is not here.
_STAND_IN: dict[ReasonKind, FallbackReason] = {
    "secret": FallbackReason.REFUSAL,
    "instruction": FallbackReason.REFUSAL,
    "assistant": FallbackReason.REFUSAL,
    "other_world": FallbackReason.OUT_OF_WORLD,
    "stage_direction": FallbackReason.ERROR,
    "deed": FallbackReason.ERROR,
    "unsupported": FallbackReason.ERROR,
}


@dataclass(kw_only=True)
class Reply:
    """What the player has heard of a reply so far, and how it ended."""

    text: str = ""
    sentences: list[str] = field(default_factory=list)
    finish_reason: FinishReason = "stop"
    source: ReplySource = "none"

    @property
    def num_sentences(self) -> int:
        """How many sentences were heard."""
        return len(self.sentences)


async def speak(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """Say the reply: the sheet's own words where it has them for this, else the model's."""
    offered_next = turn.offer if turn.closing else None
    async with aclosing(_speak(turn)) as events:
        async for event in events:
            yield event
    if offered_next is not None:
        # A procedure's offer is made whatever became of the reply before it: what led to it has been done.
        for sentence in _sentences(turn.closing):
            for event in _say_sentence(turn, sentence):
                yield event
        turn.offer = offered_next


async def _speak(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    if (written := _written(turn)) is not None:
        for event in _say(turn, written):
            yield event
        return
    model = _speak_unjudged(turn) if turn.guard == "off" else _speak_judged(turn)
    async with aclosing(model) as events:
        async for event in events:
            yield event
    if not turn.reply.text:
        for event in speak_authored(turn, FallbackReason.ERROR):
            yield event


# --- the sheet's own words --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Written:
    """The sheet's own words for a turn."""

    why: str
    text: str


def _written(turn: Turn) -> _Written | None:
    """A refusal, an action's offer, what is said when it is done, or what is said on a topic that she knows nothing of.

    To an attack, and to what is outside her world, no word of a model is said.
    """
    if turn.route is Route.ATTACK:
        return _Written("an attack on the character", turn.fallback(FallbackReason.REFUSAL))
    if turn.route is Route.OUTSIDE:
        return _Written("outside the world", turn.fallback(FallbackReason.OUT_OF_WORLD))
    if turn.offer is not None and turn.offer.action is not None and not turn.closing:
        line = turn.offer.action.offer_line(turn.offer.arguments)
        return _Written(f"offer of {turn.offer.action.name}", line) if line else None
    if turn.done_line is not None:
        return _Written(f"done: {', '.join(turn.done_actions)}", turn.done_line)
    topic = turn.grounding.unknown_topic
    if topic is None or turn.results:
        return None
    return _Written(f"unknown topic {topic.topic!r}", turn.pick(topic.lines) or turn.fallback(FallbackReason.UNKNOWN))


def speak_authored(turn: Turn, reason: FallbackReason) -> Iterator[TurnEvent]:
    """Say one of the sheet's fallback lines."""
    turn.offer = None
    yield from _say(turn, _Written(reason.value, turn.fallback(reason)))
    turn.reply.finish_reason = "guard"


def _say(turn: Turn, written: _Written) -> Iterator[TurnEvent]:
    """Say the sheet's own words, sentence by sentence."""
    turn.trace.stage("speak", f"authored line: {written.why}")
    turn.trace.premises(())
    for sentence in _sentences(written.text):
        yield from _say_sentence(turn, sentence)
    turn.reply.source = "fallback"


def _sentences(text: str) -> list[str]:
    buffer = SentenceBuffer()
    return [*buffer.feed(text), *buffer.flush()]


# --- the model's words, judged ----------------------------------------------------------------------


async def _speak_judged(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """Draft, judge, say: the decoder goes on with the next sentence while one is judged."""
    budget, premises = LengthBudget(turn.controls), _premises(turn)
    turn.trace.stage("speak", f"sentences drafted, then judged: guard = {turn.guard}")
    prompt = _prompt(turn, budget, premises)
    bench = await open_bench(turn, premises)
    async with aclosing(Draft(turn, prompt, budget)) as draft:
        while not budget.is_spent:
            if turn.reply.num_sentences == 0:
                said = await bench.first(draft)
            else:
                drafted = await draft.next_sentence()
                said = await bench.settle(draft, drafted) if drafted else None
            if said is None:
                break
            if not budget.admit(said.text):
                draft.finish_reason = "length"
                break
            for event in _say_sentence(turn, said.text):
                yield event
            turn.reply.source = "model"
    turn.reply.finish_reason = draft.finish_reason
    if bench.last_reasons:
        for event in _stand_in(turn, bench, premises):
            yield event


def _stand_in(turn: Turn, bench: Bench, premises: Sequence[Premise]) -> Iterator[TurnEvent]:
    """What is said after a sentence that had to be given up: nothing where the reply answers already.

    Else the fact that answers, in the sheet's own words, or an authored line for what was wrong.
    """
    is_begun = bool(turn.reply.text)
    turn.reply.finish_reason = "guard"
    if is_begun and answers(bench, turn.reply.text, premises):
        turn.trace.stage("speak", "cut: what follows was given up, and what was heard answers")
        return
    best = premises[0] if premises else None
    if bench.asks and best is not None and best.kind == "fact" and best.score >= ANSWERS_SCORE:
        written = _Written(f"the fact {best.id!r} as it stands", best.text)
    else:
        reason = _STAND_IN.get(bench.last_reasons[0].kind, FallbackReason.UNKNOWN)
        written = _Written(reason.value, turn.fallback(reason))
    shown = turn.trace.data["premises"]
    turn.offer = None
    yield from _say(turn, written)
    if is_begun:
        turn.reply.source = "model"
    if is_begun or (best is not None and written.text == best.text):
        turn.trace.data["premises"] = shown


# --- the model's words, as they come -----------------------------------------------------------------


async def _speak_unjudged(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    budget = LengthBudget(turn.controls)
    prompt = _prompt(turn, budget, _premises(turn))
    turn.trace.stage("speak", "one candidate, streamed")
    params = reply_params(turn, max_new_tokens=budget.max_new_tokens, seed=turn.seed)
    speech = _Speech(turn, budget)
    character = turn.character
    stream = character.engine.generate(
        prompt.ids, params, conversation_id=turn.conversation.id, adapter=character.adapter
    )
    async with aclosing(turn.stop.stream(stream)) as deltas:
        async for delta in deltas:
            turn.trace.mark("time_to_first_model_token_s")
            for event in speech.feed(delta.text):
                yield event
            turn.trace.generation(delta.stats)
            if delta.finish_reason is not None:
                # Cut off by its deadline is to the player the same as by the token limit.
                turn.reply.finish_reason = "length" if delta.finish_reason == "deadline" else delta.finish_reason
            if speech.is_finished:
                break
    for event in speech.flush():
        yield event


class _Speech:
    """One unjudged reply on its way from model text to sentences within the budget."""

    def __init__(self, turn: Turn, budget: LengthBudget) -> None:
        self._turn = turn
        self._budget = budget
        self._cleaner = speech_cleaner(turn)
        self._sentences = SentenceBuffer()
        self._num_streamed = 0
        self._is_cut = False

    @property
    def is_finished(self) -> bool:
        """Whether nothing that may follow will be said."""
        return self._is_cut or self._cleaner.is_finished or self._budget.is_spent

    def feed(self, piece: str) -> Iterator[TurnEvent]:
        for sentence in self._sentences.feed(self._cleaner.feed(piece)):
            yield from self._sentence(sentence)
        if self._budget.num_sentences == 0 and not self._is_cut:
            yield from self._stream_first(self._sentences.held)

    def flush(self) -> Iterator[TurnEvent]:
        if self._is_cut or self._budget.is_spent:
            return
        is_limited = self._turn.reply.finish_reason == "length"
        for sentence in [*self._sentences.feed(self._cleaner.flush()), *self._sentences.flush()]:
            # What the token limit cut off is dropped, unless it is all there is.
            if not is_limited or is_whole(sentence) or self._budget.num_sentences == 0:
                yield from self._sentence(sentence)

    def _sentence(self, sentence: str) -> Iterator[TurnEvent]:
        if self._is_cut or not sentence:
            self._is_cut = True
            return
        if not self._budget.admit(sentence):
            self._is_cut = True
            self._turn.reply.finish_reason = "length"
            return
        if self._turn.reply.num_sentences == 0:
            yield from self._stream_first(sentence)
            yield from _end_sentence(self._turn, sentence)
        else:
            yield from _say_sentence(self._turn, sentence)
        self._turn.reply.source = "model"
        self._turn.trace.stage("judge", f"off: {self._turn.reply.num_sentences} sentences passed unjudged")

    def _stream_first(self, text: str) -> Iterator[TurnEvent]:
        fresh = text.rstrip()[self._num_streamed :]
        if fresh:
            self._num_streamed += len(fresh)
            self._turn.reply.text += fresh
            self._turn.reply.source = "model"
            self._turn.trace.mark("time_to_first_token_s")
            yield Token(text=fresh)


# --- what both share ----------------------------------------------------------------------------------


def _premises(turn: Turn) -> tuple[Premise, ...]:
    """Premises for the prompt: an action's results alone where there are any, so that they are what is said."""
    return tuple(turn.results) or turn.grounding.premises


def _prompt(turn: Turn, budget: LengthBudget, premises: Sequence[Premise]) -> Prompt:
    turn.trace.premises(premises)
    style = tuple(turn.voice.directives(pick=turn.seed))
    prompt = speech_prompt(turn, premises, controls=turn.controls, style=style, max_new_tokens=budget.max_new_tokens)
    turn.trace.data["prompt"] = {
        "stable_tokens": prompt.num_stable_tokens,
        "dropped_exchanges": prompt.num_dropped_exchanges,
        "style": list(prompt.style),
    }
    return prompt


def _say_sentence(turn: Turn, sentence: str) -> Iterator[TurnEvent]:
    piece = f" {sentence}" if turn.reply.text else sentence
    turn.reply.text += piece
    turn.trace.mark("time_to_first_token_s")
    yield Token(text=piece)
    yield from _end_sentence(turn, sentence)


def _end_sentence(turn: Turn, sentence: str) -> Iterator[TurnEvent]:
    turn.trace.mark("time_to_first_sentence_s")
    yield Sentence(index=turn.reply.num_sentences, text=sentence)
    turn.reply.sentences.append(sentence)
    turn.voice.count(sentence)
