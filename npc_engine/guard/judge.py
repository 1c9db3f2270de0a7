"""Judge a sentence before it is heard: string rules, then an NLI model against what holds for the character.

Knows nothing of sheets, prompts or turns: all it sees are statements, texts and the sentence. The time a sentence takes
does not grow with the sheet, because only the statements nearest to it are judged.

Source: consistency as natural-language inference, Welleck et al. 2019, Dialogue Natural Language Inference; a passive
statement must not be contradicted, an active one should be entailed, Zhou et al. 2023, SimOAP, and Kim et al. 2020.
What is not covered: a contradiction of a statement that shares neither words nor meaning with the sentence; sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from npc_engine.guard.disclaimer import says_not_knowing
from npc_engine.guard.nearest import Held
from npc_engine.guard.rules import RuleContext, broken_rules, is_deed
from npc_engine.guard.verdict import CONTRADICTION, ENTAILMENT, Embedder, Nli, Reason, Statement, Thresholds, Verdict


@dataclass(frozen=True, kw_only=True)
class JudgeContext:
    """What one turn's sentences are judged against.

    Attributes:
        rules: What the string rules look at.
        passive: Statements that no sentence may contradict: what holds now of the sheet, the events, the memories.
        said: The character's own earlier sentences in this talk.
        active: The premises of this turn, which its claims should follow from.
        hidden: Statements that must not be said; the same ones as in `rules`, with embeddings.
        question: The player's line where it asks, else empty: a short sentence is judged as its answer.
        needs_support: Whether a claim has to follow from some statement: the player asks for what no premise answers.
    """

    rules: RuleContext = field(default_factory=RuleContext)
    passive: Sequence[Held] = ()
    said: Held | None = None
    active: Sequence[Statement] = ()
    hidden: Held | None = None
    question: str = ""
    needs_support: bool = False


@dataclass(frozen=True)
class _Pair:
    """One question to the NLI model, and what its answer counts for."""

    row: int
    statement: Statement
    premise: str
    hypothesis: str
    nearness: float | None = None
    may_contradict: bool = False
    may_support: bool = False
    may_reveal: bool = False


class _Told:
    """A sentence and what it tells: "Sixty-five." contradicts every other number alone, so its question goes with it.

    Attributes:
        sentence: As it is said.
        with_question: After the player's question, where there was one.
        is_answer: Whether it is too short to stand alone.
    """

    def __init__(self, sentence: str, question: str, limits: Thresholds) -> None:
        self.sentence = sentence
        self.with_question = f"{question} {sentence}" if question else sentence
        self.is_answer = bool(question) and len(sentence.split()) <= limits.short_words

    @property
    def text(self) -> str:
        """What is judged."""
        return self.with_question if self.is_answer else self.sentence


class Judge:
    """Judges sentences of one character or of many.

    Args:
        encoder: Finds the statements nearest to a sentence.
        nli: None: string rules only.
        thresholds: Its limits.
    """

    def __init__(self, encoder: Embedder, nli: Nli | None, thresholds: Thresholds | None = None) -> None:
        self._encoder = encoder
        self._nli = nli
        self.thresholds = thresholds or Thresholds()

    @property
    def means(self) -> str:
        """What it judges by, for traces."""
        return f"string rules and {self._nli.name}" if self._nli else "no NLI model: string rules only"

    async def judge(self, sentence: str, context: JudgeContext) -> Verdict:
        """Judge one sentence."""
        return (await self.judge_all([sentence], context))[0]

    async def judge_all(self, sentences: Sequence[str], context: JudgeContext) -> list[Verdict]:
        """Judge sentences independently of each other, all pairs in one run of the NLI model.

        A sentence that breaks a string rule is not put to the model: it is rejected already.
        """
        verdicts = [
            Verdict(sentence=sentence, reasons=broken_rules(sentence, context.rules, self.thresholds))
            for sentence in sentences
        ]
        claims = [row for row, verdict in enumerate(verdicts) if verdict.is_sayable and is_claim(verdict.sentence)]
        if self._nli is None or not claims:
            return verdicts
        told = [_Told(sentences[row], context.question, self.thresholds) for row in claims]
        embeddings = await self._encoder.aembed([text for one in told for text in (one.text, one.with_question)])
        pairs = [
            pair
            for row, one, own, asked in zip(claims, told, embeddings[::2], embeddings[1::2], strict=True)
            for pair in self._pairs(row, one, own, asked, context)
        ]
        if not pairs and not context.needs_support:
            return verdicts
        scores = await self._nli.scores([(pair.premise, pair.hypothesis) for pair in pairs])
        for row in claims:
            mine = [index for index, pair in enumerate(pairs) if pair.row == row]
            if mine or context.needs_support:
                verdicts[row] = self._verdict(sentences[row], [pairs[index] for index in mine], scores[mine], context)
        return verdicts

    def _pairs(
        self, row: int, told: _Told, own: NDArray[np.float32], asked: NDArray[np.float32], context: JudgeContext
    ) -> Iterator[_Pair]:
        limits = self.thresholds
        active = {one.id: one for one in context.active}
        # An active statement that is in no index, an action's result, is about what was just done: as near as can be.
        nearness: dict[str, float | None] = dict.fromkeys(active)
        statements = dict(active)
        held = [*((one, limits.max_passive) for one in context.passive), (context.said, limits.max_said)]
        for index, k in held:
            if index is None:
                continue
            found = dict(index.nearest(told.text, own, k=k, always=active))
            # What answers the player's line is as near to the sentence as to the line.
            if active and told.with_question != told.text:
                for one, score in index.nearest(told.with_question, asked, k=1, always=active):
                    if one.id in active:
                        found[one] = max(score, found.get(one, score))
            nearness |= {one.id: score for one, score in found.items()}
            statements |= {one.id: one for one, score in found.items() if score >= limits.near}
        for name, statement in statements.items():
            near, supports = nearness[name], name in active
            contradicts = near is None or near >= limits.near
            if contradicts and (told.is_answer or not supports):
                yield _Pair(row, statement, statement.text, told.text, near, may_contradict=True, may_support=supports)
            if supports:
                is_both = contradicts and not told.is_answer
                yield _Pair(
                    row, statement, statement.text, told.sentence, near, may_contradict=is_both, may_support=True
                )
        if context.hidden is not None:
            for statement, _ in context.hidden.nearest(told.text, own, k=limits.max_hidden):
                yield _Pair(row, statement, statement.text, told.text, may_reveal=True)
                yield _Pair(row, statement, told.text, statement.text, may_reveal=True)

    def _verdict(
        self, sentence: str, pairs: Sequence[_Pair], scores: NDArray[np.float32], context: JudgeContext
    ) -> Verdict:
        contradicted: dict[str, float] = {}
        supported: dict[str, float] = {}
        grounded = 0.0
        revealed: dict[str, float] = {}
        for pair, score in zip(pairs, scores, strict=True):
            name, entailed = pair.statement.id, float(score[ENTAILMENT])
            if pair.may_contradict:
                against = self.thresholds.contradicts(float(score[CONTRADICTION]), pair.nearness)
                contradicted[name] = max(contradicted.get(name, 0.0), against)
            if pair.may_support:
                supported[name] = max(supported.get(name, 0.0), entailed)
            if pair.may_contradict or pair.may_support:
                grounded = max(grounded, entailed)
            if pair.may_reveal:
                revealed[name] = min(revealed.get(name, 1.0), entailed)
        support = max(supported.values(), default=None)
        best = max(supported, key=lambda name: supported[name]) if supported else None
        return Verdict(
            sentence=sentence,
            reasons=tuple(self._reasons(sentence, contradicted, revealed, support, grounded, context)),
            contradiction=max(contradicted.values(), default=None),
            support=support,
            grounded=grounded if contradicted or supported else None,
            supported_by=best if support is not None and support >= self.thresholds.support else None,
            num_judged=len(pairs),
        )

    def _reasons(
        self,
        sentence: str,
        contradicted: dict[str, float],
        revealed: dict[str, float],
        support: float | None,
        grounded: float,
        context: JudgeContext,
    ) -> Iterator[Reason]:
        for name, score in sorted(revealed.items(), key=lambda item: -item[1]):
            if score >= self.thresholds.secret:
                yield Reason(kind="secret", statement_id=name, score=score, span=sentence)
        for name, score in sorted(contradicted.items(), key=lambda item: -item[1]):
            # What one statement bears out more surely is about another thing than the one that it seems to contradict.
            if score >= self.thresholds.contradiction and score > grounded:
                yield Reason(kind="contradiction", statement_id=name, score=score, span=sentence)
        # Only of what was just done is a missing support a lie; elsewhere the premises seldom say all that is true.
        is_unsupported = support is not None and support < self.thresholds.support
        if context.rules.deeds == "by_result" and is_unsupported and is_deed(sentence):
            yield Reason(kind="unsupported", statement_id=None, score=1.0 - (support or 0.0), span=sentence)
        if context.needs_support and grounded < self.thresholds.support and not says_not_knowing(sentence):
            yield Reason(kind="ungrounded", statement_id=None, score=1.0 - grounded, span=sentence)


def is_claim(sentence: str) -> bool:
    """Whether a sentence says how things are: a question does not."""
    return not sentence.rstrip(" \"'”’)").endswith("?")


def threshold_for(scores: Sequence[float], is_bad: Sequence[bool], *, max_false_alarm_share: float) -> float:
    """The lowest threshold at which at most this share of the good sentences is rejected.

    Args:
        scores: What the NLI model gave each sentence, 0 to 1.
        is_bad: Whether it was to be rejected.
        max_false_alarm_share: Of the sentences that were not.

    Returns:
        A threshold for `score >= threshold`; 1.0 at most, where only certainty rejects.

    Raises:
        ValueError: No good sentence is among them, so that no share can be kept.
    """
    good = sorted((score for score, bad in zip(scores, is_bad, strict=True) if not bad), reverse=True)
    if not good:
        raise ValueError("no good sentence among the scores")
    num_allowed = int(len(good) * max_false_alarm_share)
    if num_allowed >= len(good):
        return 0.0
    # Just above the highest good score that may not pass; scores are float32, hence the width of the step.
    return min(1.0, float(np.nextafter(np.float32(good[num_allowed]), np.float32(2))))
