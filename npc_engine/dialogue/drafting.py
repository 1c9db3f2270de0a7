"""Drafting: the model's words as whole sentences, each with the token ids to go on from, and how to take one back.

    stream of deltas -> cleaned speech -> sentences     `next_sentence`: the decoder goes on while a sentence is judged
    accept            the reply goes on after this sentence
    again             other samples of the next sentence, from one prompt, in one batch

Taking a sentence back costs no prefill: the next request is the prompt and the accepted ids, so that the conversation's
KV slot is only rewound. A sentence's last token may carry the next sentence's first characters; then the ids end before
that token and what it held of this sentence is encoded anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from npc_engine.dialogue.controls import LengthBudget
from npc_engine.dialogue.events import FinishReason
from npc_engine.dialogue.grounding import Premise
from npc_engine.dialogue.prompt import Prompt
from npc_engine.guard.segments import SentenceBuffer, is_whole
from npc_engine.guard.speech import SpeechCleaner
from npc_engine.inference.generation import Candidate, Delta
from npc_engine.inference.sampler import SamplingParams
from npc_engine.inference.text_stream import TextStream
from npc_engine.sheets.controls import ControlValues

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn

# With the default temperature: see docs/log.md, "How replies are sampled".
MIN_P = 0.1
REPETITION_PENALTY = 1.05
# Where a sampled sentence may end. A sample that stops within one ("Mr. ") is left out.
_SENTENCE_STOPS = tuple(f"{end}{space}" for end in (".", "!", "?", "…") for space in (" ", "\n"))
# Where the first try takes the likeliest words always, other tries must not. Source: the sampler's own default.
RESAMPLE_TEMPERATURE = 0.7
# What a neutral sentence is asked for; see `carrying.py`.
NEUTRAL = "In one sentence, say what was done or what is so, with every name and number that stands above."
# Apart from the turn's own seeds, which count up by one.
_SEED_STEP = 0x9E3779B9


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """A sentence that may be said next.

    Attributes:
        text: The sentence.
        ids: Token ids of the reply up to its end.
        is_last: Whether the model had nothing more to say.
        mean_logprob: Natural log, a token, over the sample it is from; None where that was not asked for.
    """

    text: str
    ids: tuple[int, ...]
    is_last: bool = False
    mean_logprob: float | None = None


class Segmenter:
    """Cuts a stream of ids and text into cleaned sentences, and knows the ids up to the end of each.

    Args:
        cleaner: For this stream alone.
        start_ids: Ids before the stream.
        encode: Text to ids, for a sentence that ends within a token.
    """

    def __init__(
        self, cleaner: SpeechCleaner, *, start_ids: tuple[int, ...], encode: Callable[[str], Sequence[int]]
    ) -> None:
        self._cleaner = cleaner
        self._encode = encode
        self._sentences = SentenceBuffer()
        self._ids = list(start_ids)
        self._speech = ""
        self._end = 0
        # How many ids make how many characters of speech, after each piece.
        self._marks = [(len(self._ids), 0)]

    @property
    def is_finished(self) -> bool:
        """Whether somebody else began to speak."""
        return self._cleaner.is_finished

    def feed(self, ids: Sequence[int], text: str) -> list[Drafted]:
        """Add a piece; return the sentences it completed."""
        self._ids += ids
        return self._drafted(self._cleaner.feed(text))

    def flush(self) -> list[Drafted]:
        """Return what is left at the end of generation, the last one marked so."""
        drafted = [*self._drafted(self._cleaner.flush()), *map(self._draft, self._sentences.flush())]
        return [*drafted[:-1], replace(drafted[-1], is_last=True)] if drafted else []

    def _drafted(self, fresh: str) -> list[Drafted]:
        self._speech += fresh
        self._marks.append((len(self._ids), len(self._speech)))
        return [self._draft(sentence) for sentence in self._sentences.feed(fresh)]

    def _draft(self, sentence: str) -> Drafted:
        self._end = self._speech.index(sentence, self._end) + len(sentence)
        whole = next((num_ids for num_ids, length in self._marks if length == self._end), None)
        if whole is not None:
            return Drafted(text=sentence, ids=tuple(self._ids[:whole]))
        before, length = max((mark for mark in self._marks if mark[1] < self._end), key=lambda mark: mark[1])
        rest = self._encode(self._speech[length : self._end])
        return Drafted(text=sentence, ids=(*self._ids[:before], *rest))


class Draft:
    """One reply's draft. Close it with `aclose`, whatever happens.

    Args:
        turn: Whose reply.
        prompt: What the model continues.
        budget: Its length.
    """

    def __init__(self, turn: Turn, prompt: Prompt, budget: LengthBudget) -> None:
        self.finish_reason: FinishReason = "stop"
        self._turn = turn
        self._prompt = prompt
        self._max_new_tokens = budget.max_new_tokens
        self._accepted: tuple[int, ...] = ()
        self._num_samples = 0
        self._stream: AsyncGenerator[Delta, None] | None = None
        self._segmenter: Segmenter | None = None
        self._waiting: deque[Drafted] = deque()
        self._is_over = False

    async def next_sentence(self) -> Drafted | None:
        """The next sentence of the running stream, or of a new one from what was accepted; None at the end."""
        while not self._waiting:
            if self._is_over or self._num_left <= 0:
                return None
            if self._stream is None or self._segmenter is None:
                self._stream, self._segmenter = self._turn.stop.stream(self._generate()), self._new_segmenter()
            delta = await anext(self._stream, None)
            if delta is None:
                self._is_over = True
                return None
            self._turn.trace.mark("time_to_first_model_token_s")
            if self._num_samples == 1:
                self._turn.trace.generation(delta.stats)
            self._waiting += self._segmenter.feed(delta.token_ids, delta.text)
            if delta.finish_reason is not None or self._segmenter.is_finished:
                # Cut off by its deadline or by the token limit is the same to the player.
                self.finish_reason = "length" if delta.finish_reason in ("length", "deadline") else "stop"
                self._is_over = True
                self._waiting += self._wanted(self._segmenter.flush())
        return self._waiting.popleft()

    async def again(self, num: int) -> list[Drafted]:
        """Other samples of the sentence after the accepted ones; the running stream is given up.

        Fewer than `num` where a sample said nothing; the engine runs them side by side.
        """
        await self.aclose()
        if self._num_left <= 0:
            return []
        turn = self._turn
        temperature = turn.temperature or RESAMPLE_TEMPERATURE
        params = [replace(self._params(), stop=_SENTENCE_STOPS, temperature=temperature) for _ in range(num)]
        is_first = self._num_samples == num
        candidates = await turn.stop.race(
            turn.character.engine.candidates(
                (*self._prompt.ids, *self._accepted),
                params,
                conversation_id=turn.conversation.id,
                adapter=turn.character.adapter,
            )
        )
        turn.trace.mark("time_to_first_model_token_s")
        if is_first:
            turn.trace.generation(candidates[0].stats)
        return [drafted for candidate in candidates if (drafted := self._sampled(candidate)) is not None]

    def accept(self, drafted: Drafted) -> None:
        """Go on after this sentence, which comes from the running stream, from `again`, or was edited."""
        self._accepted = drafted.ids
        if self._stream is None:
            self._is_over = drafted.is_last

    def edited(self, drafted: Drafted, text: str) -> Drafted:
        """Another wording in a sentence's place, as if the model had written it: its own encoding goes on from here."""
        before = " " if self._accepted else ""
        return Drafted(text=text, ids=(*self._accepted, *self._encode(before + text)), is_last=drafted.is_last)

    async def switch(self, prompt: Prompt) -> Prompt:
        """Go on from another prompt, whose first sentence is still to be accepted; returns the one before."""
        await self.aclose()
        before, self._prompt = self._prompt, prompt
        return before

    async def aclose(self) -> None:
        """Give the running stream up; what was accepted stays. Idempotent."""
        stream, self._stream, self._segmenter = self._stream, None, None
        self._waiting.clear()
        self._is_over = False
        if stream is not None:
            await stream.aclose()

    @property
    def _num_left(self) -> int:
        return self._max_new_tokens - len(self._accepted)

    def _generate(self) -> AsyncGenerator[Delta, None]:
        return self._turn.character.engine.generate(
            (*self._prompt.ids, *self._accepted),
            self._params(),
            conversation_id=self._turn.conversation.id,
            adapter=self._turn.character.adapter,
        )

    def _params(self) -> SamplingParams:
        seed = (self._turn.seed + _SEED_STEP * self._num_samples) & 0xFFFFFFFF
        self._num_samples += 1
        return reply_params(self._turn, max_new_tokens=self._num_left, seed=seed)

    def _new_segmenter(self) -> Segmenter:
        return Segmenter(speech_cleaner(self._turn), start_ids=self._accepted, encode=self._encode)

    def _encode(self, text: str) -> Sequence[int]:
        ids: Sequence[int] = self._turn.character.engine.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _sampled(self, candidate: Candidate) -> Drafted | None:
        """The first sentence of a sample."""
        segmenter, text = self._new_segmenter(), TextStream(self._turn.character.engine.tokenizer)
        mean_logprob = candidate.logprob / max(1, len(candidate.token_ids))
        for token_id in candidate.token_ids:
            is_end = token_id in self._turn.character.prompts.stop_ids
            for drafted in segmenter.feed([token_id], "" if is_end else text.push(token_id)):
                return replace(drafted, mean_logprob=mean_logprob)
            if segmenter.is_finished:
                break
        is_over = segmenter.is_finished or candidate.token_ids[-1] in self._turn.character.prompts.stop_ids
        if not is_over and candidate.finish_reason == "stop":
            return None  # a stop text within a sentence: "Mr. "
        for drafted in segmenter.flush():
            return replace(drafted, mean_logprob=mean_logprob)
        return None

    def _wanted(self, drafted: list[Drafted]) -> list[Drafted]:
        """What the token limit cut off is dropped, unless it is all there is."""
        if self.finish_reason != "length":
            return drafted
        is_first = not self._accepted and not self._waiting
        return [one for index, one in enumerate(drafted) if is_whole(one.text) or (is_first and index == 0)]


def speech_prompt(
    turn: Turn,
    premises: Sequence[Premise],
    *,
    controls: ControlValues,
    style: Sequence[str],
    max_new_tokens: int | None = None,
) -> Prompt:
    """The prompt of a turn's reply.

    Args:
        turn: The turn, grounded and acted.
        premises: What it shows.
        controls: Under which it is said.
        style: What the other controls demand of the voice.
        max_new_tokens: Room for the reply; None: what the controls allow.
    """
    return turn.character.prompts.speech(
        turn.line,
        exchanges=turn.conversation.history.exchanges,
        premises=premises,
        directives=turn.directives,
        controls=controls,
        max_new_tokens=max_new_tokens or LengthBudget(controls).max_new_tokens,
        style=style,
        offered=turn.conversation.actions,
    )


def neutral_prompt(turn: Turn, premises: Sequence[Premise]) -> Prompt:
    """The same prompt with the persona clipped: no role-play, and a demand for everything that must be said."""
    plain = turn.controls.model_copy(update={"role_play": 0.0})
    return speech_prompt(turn, premises, controls=plain, style=(NEUTRAL,))


def reply_params(turn: Turn, *, max_new_tokens: int, seed: int) -> SamplingParams:
    """How a reply is sampled."""
    return SamplingParams(
        temperature=turn.temperature,
        min_p=MIN_P,
        repetition_penalty=REPETITION_PENALTY,
        seed=seed,
        max_new_tokens=max_new_tokens,
        avoid=turn.character.catchphrase_ids if turn.voice.is_spent else (),
        stop_ids=turn.character.prompts.stop_ids,
    )


def speech_cleaner(turn: Turn) -> SpeechCleaner:
    """A cleaner for one stream of the character's speech."""
    return SpeechCleaner(speaker=turn.character.sheet.identity.name, others=turn.conversation.listeners)
