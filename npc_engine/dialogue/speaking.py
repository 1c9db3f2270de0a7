"""Speak: stream the model's words as clean speech within the length budget, or say an authored line.

The first sentence streams as its words come. Later sentences are held until they are whole and known to fit, since
what was sent cannot be taken back. The judge will stand where `_judge` is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from npc_engine.dialogue.controls import LengthBudget
from npc_engine.dialogue.events import FinishReason, ReplySource, Sentence, Token, TurnEvent
from npc_engine.dialogue.grounding import Premise
from npc_engine.guard.segments import SentenceBuffer, is_whole
from npc_engine.guard.speech import SpeechCleaner
from npc_engine.inference.sampler import SamplingParams
from npc_engine.sheets.schema import FallbackReason

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn

# With the default temperature: see docs/log.md, "How replies are sampled".
MIN_P = 0.1
REPETITION_PENALTY = 1.05


@dataclass(kw_only=True)
class Reply:
    """What the player has heard of a reply so far, and how it ended."""

    text: str = ""
    num_sentences: int = 0
    finish_reason: FinishReason = "stop"
    source: ReplySource = "none"


async def speak(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """Say the reply: the sheet's own words where it has them for this, else the model's."""
    if (written := _written(turn)) is not None:
        for event in _say(turn, written):
            yield event
        return
    async with aclosing(_speak_model(turn)) as events:
        async for event in events:
            yield event
    if not turn.reply.text:
        for event in speak_authored(turn, FallbackReason.ERROR):
            yield event


@dataclass(frozen=True)
class _Written:
    """The sheet's own words for a turn."""

    why: str
    text: str


def _written(turn: Turn) -> _Written | None:
    """An action's offer, or what the character says on a topic that she knows nothing of."""
    if turn.offer is not None and turn.offer.action is not None:
        line = turn.offer.action.offer_line(turn.offer.arguments)
        return _Written(f"offer of {turn.offer.action.name}", line) if line else None
    topic = turn.grounding.unknown_topic
    if topic is None or turn.results:
        return None
    return _Written(f"unknown topic {topic.topic!r}", turn.pick(topic.lines) or turn.fallback(FallbackReason.UNKNOWN))


def speak_authored(turn: Turn, reason: FallbackReason) -> Iterator[TurnEvent]:
    """Say one of the sheet's fallback lines."""
    turn.offer = None
    yield from _say(turn, _Written(reason.value, turn.fallback(reason)))
    turn.reply.finish_reason = "guard"


async def _speak_model(turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    budget = LengthBudget(turn.controls)
    premises = _premises(turn)
    turn.trace.premises(premises)
    prompt = turn.character.prompts.speech(
        turn.line,
        exchanges=turn.conversation.history.exchanges,
        premises=premises,
        directives=turn.directives,
        controls=turn.controls,
        max_new_tokens=budget.max_new_tokens,
    )
    turn.trace.data["prompt"] = {
        "stable_tokens": prompt.num_stable_tokens,
        "dropped_exchanges": prompt.num_dropped_exchanges,
    }
    turn.trace.stage("speak", "one candidate, streamed")
    params = SamplingParams(
        temperature=turn.temperature,
        min_p=MIN_P,
        repetition_penalty=REPETITION_PENALTY,
        seed=turn.seed,
        max_new_tokens=budget.max_new_tokens,
        stop_ids=turn.character.prompts.stop_ids,
    )
    speech = _Speech(turn, budget)
    stream = turn.character.engine.generate(prompt.ids, params, conversation_id=turn.conversation.id)
    async with aclosing(turn.stop.stream(stream)) as deltas:
        async for delta in deltas:
            turn.trace.mark("time_to_first_model_token_s")
            for event in speech.feed(delta.text):
                yield event
            turn.trace.generation(delta.stats)
            if delta.finish_reason is not None:
                turn.reply.finish_reason = delta.finish_reason
            if speech.is_finished:
                break
    for event in speech.flush():
        yield event


def _premises(turn: Turn) -> tuple[Premise, ...]:
    """Premises for the prompt: an action's results alone where there are any, so that they are what is said."""
    return tuple(turn.results) or turn.grounding.premises


class _Speech:
    """One reply on its way from model text to sentences within the budget."""

    def __init__(self, turn: Turn, budget: LengthBudget) -> None:
        self._turn = turn
        self._budget = budget
        self._cleaner = SpeechCleaner(speaker=turn.character.sheet.identity.name, others=turn.conversation.listeners)
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
        if self._is_cut or not _judge(self._turn, sentence):
            self._is_cut = True
            return
        if not self._budget.admit(sentence):
            self._is_cut = True
            self._turn.reply.finish_reason = "length"
            return
        yield from (
            self._stream_first(sentence) if self._turn.reply.num_sentences == 0 else _tokens(self._turn, sentence)
        )
        yield from _end_sentence(self._turn, sentence)
        self._turn.reply.source = "model"

    def _stream_first(self, text: str) -> Iterator[TurnEvent]:
        fresh = text.rstrip()[self._num_streamed :]
        if fresh:
            self._num_streamed += len(fresh)
            self._turn.reply.text += fresh
            self._turn.reply.source = "model"
            self._turn.trace.mark("time_to_first_token_s")
            yield Token(text=fresh)


def _judge(turn: Turn, sentence: str) -> bool:
    """Whether a sentence may be heard. Every one may: the judge is not built yet, and the trace says so."""
    turn.trace.stage("judge", f"not built yet: {turn.reply.num_sentences + 1} sentences passed unjudged")
    return bool(sentence)


def _say(turn: Turn, written: _Written) -> Iterator[TurnEvent]:
    """Say the sheet's own words, sentence by sentence."""
    turn.trace.stage("speak", f"authored line: {written.why}")
    turn.trace.premises(())
    buffer = SentenceBuffer()
    for sentence in [*buffer.feed(written.text), *buffer.flush()]:
        yield from _tokens(turn, sentence)
        yield from _end_sentence(turn, sentence)
    turn.reply.source = "fallback"


def _tokens(turn: Turn, sentence: str) -> Iterator[TurnEvent]:
    piece = f" {sentence}" if turn.reply.text else sentence
    turn.reply.text += piece
    turn.trace.mark("time_to_first_token_s")
    yield Token(text=piece)


def _end_sentence(turn: Turn, sentence: str) -> Iterator[TurnEvent]:
    turn.trace.mark("time_to_first_sentence_s")
    yield Sentence(index=turn.reply.num_sentences, text=sentence)
    turn.reply.num_sentences += 1
