"""Judge each drafted sentence of a turn before it is heard, and mend the bad ones.

What a sentence is judged against is gathered once a turn: what holds of the sheet now, the events, what was said, this
turn's premises. A bad sentence goes down a ladder: other samples, then the premise's number or name in its place; what
is still bad is not said, and `speaking` decides what is said instead. All of it is in the trace, except the words of a
sentence that would have given a secret away.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from npc_engine.dialogue.carrying import carried, required
from npc_engine.dialogue.drafting import Draft, Drafted, neutral_prompt
from npc_engine.dialogue.grounding import Premise
from npc_engine.dialogue.open_questions import names_a_stranger, needs_support
from npc_engine.guard.deeds import changes_something, undone_verbs
from npc_engine.guard.flanderization import without_catchphrases
from npc_engine.guard.judge import JudgeContext
from npc_engine.guard.nearest import Held, StatementIndex
from npc_engine.guard.repair import edited
from npc_engine.guard.rules import Allowed, RuleContext
from npc_engine.guard.segments import SentenceBuffer
from npc_engine.guard.strategies import DOUBT_LOGPROB, STRATEGIES, best, scores
from npc_engine.guard.verdict import STYLE_REASONS, Deeds, Reason, Statement, Verdict
from npc_engine.guard.words import stems
from npc_engine.sheets.controls import Route

if TYPE_CHECKING:
    from npc_engine.dialogue.session import Turn

_ASKS = re.compile(
    r"\?|^\W*(?:who|what|when|where|which|whose|why|how|do|does|did|are|is|was|were|can|could|will|would|have|has)\b",
    re.IGNORECASE,
)


class Bench:
    """The judge at work on one turn. Make it with `open_bench`.

    Args:
        turn: The turn.
        context: What its sentences are judged against.
        said: The statements of what the character said earlier in the talk.
        premises: What the prompt shows.

    Attributes:
        last_reasons: Why the last sentence that was given up was bad.
    """

    def __init__(
        self, turn: Turn, context: JudgeContext, said: Sequence[Statement], premises: Sequence[Premise]
    ) -> None:
        self.last_reasons: tuple[Reason, ...] = ()
        self._turn = turn
        self._context = context
        self._judge = turn.character.judge
        self._strategy = STRATEGIES[turn.guard]
        self._pull = turn.voice.pull
        self._premises = premises
        self._wanted = required(premises) if self._pull.task_priority > 0 else frozenset()
        self._num_said = len(said)
        self._num_repaired = 0
        self._record: dict[str, Any] = {
            "guard": turn.guard,
            "by": self._judge.means,
            "num_passive": sum(len(held.index.statements) for held in context.passive) + len(said),
            "num_hidden": len(context.rules.hidden),
            "needs_support": context.needs_support,
            "sentences": [],
        }
        turn.trace.data["judge"] = self._record
        turn.trace.data["latency"]["judge_s"] = 0.0

    @property
    def asks(self) -> bool:
        """Whether the player asked something."""
        return bool(self._context.question)

    async def first(self, draft: Draft) -> Drafted | None:
        """The first sentence: one sample or several, as the strategy draws; None where the model says nothing."""
        if self._wanted:
            return await self._first_on_task(draft)
        num = self._turn.first_sentence_candidates
        on_gpu = self._turn.character.engine.decoder.provider != "CPUExecutionProvider"
        draws = self._strategy.draws
        if num < 2 or draws == "lazily" or (draws == "by_device" and not on_gpu):
            drafted = await draft.next_sentence()
            return None if drafted is None else await self.settle(draft, drafted)
        candidates = await draft.again(1 if draws == "in_doubt" else num)
        if draws == "in_doubt" and candidates and (candidates[0].mean_logprob or 0.0) >= DOUBT_LOGPROB:
            return await self.settle(draft, candidates[0])
        if draws == "in_doubt":
            candidates += await draft.again(num - 1)
        return await self._choose(draft, candidates, outcome="chosen")

    async def settle(self, draft: Draft, drafted: Drafted) -> Drafted | None:
        """A sentence that may be said in this one's place, first of all itself; None where the ladder ends.

        It is accepted in the draft. Where there is none, the draft stands before it.
        """
        (verdict,) = await self._verdicts([drafted])
        if not self._strategy.rejects(verdict):
            self._note(verdict, "said")
            draft.accept(drafted)
            return drafted
        return await self._resampled(draft, drafted, verdict)

    async def _first_on_task(self, draft: Draft) -> Drafted | None:
        """The first sentence where something must be said: the model's own, or one said out of character.

        The neutral one is drawn only where the first does not carry all that must be said. If it is chosen, the reply
        goes on from its prompt.
        """
        drafted = await draft.next_sentence()
        if drafted is None:
            return None
        share = carried(drafted.text, self._wanted)
        task: dict[str, Any] = {"wanted": sorted(self._wanted), "carried": _rounded(share), "is_neutral": False}
        self._record["task"] = task
        if share == 1.0:
            return await self.settle(draft, drafted)
        in_character = await draft.switch(neutral_prompt(self._turn, self._premises))
        # Likelihoods under two prompts cannot be compared, so none counts.
        rivals = [drafted, *(replace(one, mean_logprob=None) for one in await draft.again(1))]
        verdicts = await self._verdicts(rivals)
        index = await self._best(rivals, verdicts)
        if not index:
            await draft.switch(in_character)
        if index is None:
            return await self._resampled(draft, drafted, verdicts[0])
        task |= {"carried": _rounded(carried(rivals[index].text, self._wanted)), "is_neutral": index > 0}
        self._note(verdicts[index], "chosen")
        draft.accept(rivals[index])
        return rivals[index]

    async def _resampled(self, draft: Draft, drafted: Drafted, verdict: Verdict) -> Drafted | None:
        """The best of other samples in the place of a rejected sentence."""
        is_first = self._turn.reply.num_sentences == 0
        num = self._turn.first_sentence_candidates - 1 if is_first else self._turn.sentence_resamples
        candidates = await draft.again(num) if num > 0 else []
        self._num_repaired += 1
        return await self._choose(draft, candidates, outcome="sampled again", rejected=(drafted, verdict))

    async def _choose(
        self,
        draft: Draft,
        candidates: Sequence[Drafted],
        *,
        outcome: str,
        rejected: tuple[Drafted, Verdict] | None = None,
    ) -> Drafted | None:
        """The best of several candidates, or an edited one."""
        verdicts = await self._verdicts(candidates)
        entry = self._note(rejected[1], "rejected") if rejected else None
        index = await self._best(candidates, verdicts)
        if index is not None:
            if entry is not None:
                entry["repair"] = outcome
            self._note(verdicts[index], "said" if entry else outcome)
            draft.accept(candidates[index])
            return candidates[index]
        tried = [*([rejected] if rejected else []), *zip(candidates, verdicts, strict=True)]
        for drafted, verdict in tried:
            text = self._edited(verdict)
            if text is None:
                continue
            mended = draft.edited(drafted, text)
            (again,) = await self._verdicts([mended])
            if not self._strategy.rejects(again):
                await draft.aclose()
                if entry is not None:
                    entry["repair"] = "edited"
                self._note(again, "edited")
                draft.accept(mended)
                return mended
        await draft.aclose()
        lapse = self._lapse(tried)
        if entry is None and verdicts:
            entry = self._note(verdicts[0], "rejected")
        if entry is not None:
            entry["repair"] = "none found" if lapse is None else "left out" if self._has_spoken else "said all the same"
        if lapse is None:
            self.last_reasons = tried[0][1].reasons if tried else ()
            return None
        if self._has_spoken:
            return None
        self._note(lapse[1], "lapse")
        draft.accept(lapse[0])
        return lapse[0]

    @property
    def _has_spoken(self) -> bool:
        return self._turn.reply.num_sentences > 0

    def _edited(self, verdict: Verdict) -> str | None:
        """The smallest change that may mend a sentence: without its catchphrase, or with the premise's words."""
        if all(reason.kind in STYLE_REASONS for reason in verdict.reasons):
            return without_catchphrases(verdict.sentence, self._turn.character.voice.lexicon)
        return edited(verdict, self._context.active)

    def _lapse(self, tried: Sequence[tuple[Drafted, Verdict]]) -> tuple[Drafted, Verdict] | None:
        """The first sentence that is only a matter of style: better said than no answer at all."""
        return next((one for one in tried if all(reason.kind in STYLE_REASONS for reason in one[1].reasons)), None)

    async def _best(self, candidates: Sequence[Drafted], verdicts: Sequence[Verdict]) -> int | None:
        """The index of the candidate to say; their scores go to the trace."""
        if not candidates:
            return None
        turn = self._turn
        if len(candidates) == 1:
            return None if self._strategy.rejects(verdicts[0]) else 0
        started = time.perf_counter()
        embeddings = await turn.stop.race(turn.character.encoder.aembed([one.text for one in candidates]))
        scored = scores(
            verdicts,
            embeddings,
            line_embedding=turn.embedding,
            mean_logprobs=[one.mean_logprob or 0.0 for one in candidates],
            max_words=max(1, turn.controls.max_words // turn.controls.max_sentences),
            lexicon=turn.character.voice.lexicon,
            own_style=turn.character.voice.style,
            player_style=turn.voice.heard.player,
            wanted=self._wanted,
            listener=turn.character.listener,
        )
        self._add_time(started)
        index = best(verdicts, scored, self._strategy, self._pull)
        self._record.setdefault("candidates", []).append(
            [
                {
                    "text": _shown(verdict),
                    "is_rejected": self._strategy.rejects(verdict),
                    "is_said": row == index,
                    "scores": {name: _rounded(value) for name, value in asdict(one).items()},
                    "rank": _rounded(self._strategy.rank(one, self._pull)),
                }
                for row, (verdict, one) in enumerate(zip(verdicts, scored, strict=True))
            ]
        )
        return index

    async def _verdicts(self, drafted: Sequence[Drafted]) -> list[Verdict]:
        if not drafted:
            return []
        started = time.perf_counter()
        # Until it comes back: what a trace of a turn that was stopped here says.
        self._turn.trace.stage("judge", f"{self._record['by']}; stopped while judging")
        try:
            verdicts = await self._turn.stop.race(self._judge.judge_all([one.text for one in drafted], self._context))
        finally:
            self._add_time(started)
        voice = self._turn.voice
        return [replace(one, reasons=(*one.reasons, *voice.objections(one.sentence))) for one in verdicts]

    def _add_time(self, started: float) -> None:
        latency = self._turn.trace.data["latency"]
        latency["judge_s"] = round(latency["judge_s"] + time.perf_counter() - started, 4)

    def _note(self, verdict: Verdict, outcome: str) -> dict[str, Any]:
        """Put a sentence's verdict into the trace."""
        entry: dict[str, Any] = {
            "text": _shown(verdict),
            "outcome": outcome,
            "reasons": [
                {
                    "kind": reason.kind,
                    "statement": reason.statement_id,
                    "score": _rounded(reason.score),
                    "span": _WITHHELD if _is_secret(verdict) else reason.span,
                }
                for reason in verdict.reasons
            ],
            "contradiction": _rounded(verdict.contradiction),
            "support": _rounded(verdict.support),
            "grounded": _rounded(verdict.grounded),
            "supported_by": verdict.supported_by,
            "num_judged": verdict.num_judged,
        }
        self._record["sentences"].append(entry)
        num = sum(one["outcome"] != "rejected" for one in self._record["sentences"])
        rejected = len(self._record["sentences"]) - num
        self._turn.trace.stage("judge", f"{self._record['by']}; {num} sentences passed, {rejected} rejected")
        return entry


_WITHHELD = "(withheld: it would give a secret away)"


def _is_secret(verdict: Verdict) -> bool:
    return any(reason.kind == "secret" for reason in verdict.reasons)


def _shown(verdict: Verdict) -> str:
    return _WITHHELD if _is_secret(verdict) else verdict.sentence


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


async def open_bench(turn: Turn, premises: Sequence[Premise]) -> Bench:
    """Gather what the turn's sentences are judged against.

    Args:
        turn: The turn, grounded and acted.
        premises: What the prompt shows.
    """
    character, talk = turn.character, turn.conversation
    view = character.knowledge.at(talk.state)
    events = [Statement(id=event.id, text=event.text, kind="event") for event in talk.events]
    said = list(_said(turn))
    embeddings = await turn.stop.race(character.encoder.aembed([one.text for one in (*events, *said)]))
    index_events = StatementIndex(events, embeddings[: len(events)])
    active = [Statement(id=one.id, text=one.text, kind=one.kind) for one in premises]
    exchanges = talk.history.exchanges
    allowed = Allowed(
        line=turn.line,
        talk=[text for exchange in exchanges for text in (exchange.player, exchange.reply)],
        told=[character.stable_text, *talk.listeners, *turn.directives, *(one.text for one in active)],
        world_words=view.words,
    )
    rules = RuleContext(
        speaker=character.sheet.identity.name,
        allowed=allowed,
        avoid=character.sheet.voice.avoid,
        instructions=character.prompts.rules,
        hidden=view.hidden,
        public_stems=view.stems,
        deeds=_deeds(turn),
        undone=_undone(turn),
        facts=[one.text for one in premises if one.kind != "action_result"],
    )
    context = JudgeContext(
        rules=rules,
        passive=(Held(index=character.knowledge.index, holds=view.holds), Held(index=index_events)),
        said=Held(index=StatementIndex(said, embeddings[len(events) :])) if said else None,
        active=active,
        hidden=Held(index=character.knowledge.index, holds=~view.holds) if view.hidden else None,
        question=turn.line if _ASKS.search(turn.line) else "",
        needs_support=_needs_support(turn, allowed),
    )
    turn.voice.excuse([one.text for one in premises])
    return Bench(turn, context, said, premises)


def _needs_support(turn: Turn, allowed: Allowed) -> bool:
    if turn.results or turn.route is Route.TASK:
        return False
    stranger = names_a_stranger(turn.line, talk=allowed.talk, told=allowed.told, world_words=allowed.world_words)
    return needs_support(turn.line, turn.grounding, is_stranger_named=stranger)


def _said(turn: Turn) -> list[Statement]:
    """The character's earlier sentences of this talk, short ones with the line that they answer."""
    short = turn.character.judge.thresholds.short_words
    statements = []
    for number, exchange in enumerate(turn.conversation.history.exchanges, start=1):
        buffer = SentenceBuffer()
        for part, sentence in enumerate([*buffer.feed(exchange.reply), *buffer.flush()], start=1):
            if sentence.endswith("?"):
                continue
            is_answer = part == 1 and len(sentence.split()) <= short
            text = f"{exchange.player} {sentence}" if is_answer else sentence
            statements.append(Statement(id=f"reply:{number}.{part}", text=text, kind="said"))
    return statements


def _deeds(turn: Turn) -> Deeds:
    """By results where one changed something; a price that was looked up bears out no sale."""
    done = [action for action in turn.conversation.actions if action.name in turn.done_actions]
    if any(changes_something(action) for action in done):
        return "by_result"
    return "none" if turn.results or turn.route is Route.TASK else "free"


def _undone(turn: Turn) -> frozenset[str]:
    """On a task only what was done now counts; in other talk what was done before may be told."""
    before = [] if turn.route is Route.TASK else [success.name for success in turn.conversation.record.successes]
    return undone_verbs(turn.conversation.actions, [*turn.done_actions, *before])


def answers(bench: Bench, heard: str, premises: Sequence[Premise]) -> bool:
    """Whether what was heard already answers: nothing was asked or is known, or it shares words with a premise."""
    if not bench.asks or not premises:
        return True
    said = stems(heard)
    return any(said & stems(premise.text) for premise in premises)
