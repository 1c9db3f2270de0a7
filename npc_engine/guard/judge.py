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
    may_contradict: bool = False
    may_support: bool = False
    may_reveal: bool = False


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
        embeddings = await self._encoder.aembed([sentences[row] for row in claims])
        pairs = [
            pair
            for row, embedding in zip(claims, embeddings, strict=True)
            for pair in self._pairs(row, sentences[row], embedding, context)
        ]
        if not pairs and not context.needs_support:
            return verdicts
        scores = await self._nli.scores([(pair.premise, pair.hypothesis) for pair in pairs])
        for row in claims:
            mine = [index for index, pair in enumerate(pairs) if pair.row == row]
            if mine or context.needs_support:
                verdicts[row] = self._verdict(sentences[row], [pairs[index] for index in mine], scores[mine], context)
        return verdicts

    def _pairs(self, row: int, sentence: str, embedding: NDArray[np.float32], context: JudgeContext) -> Iterator[_Pair]:
        limits = self.thresholds
        near = sorted(
            (item for held in context.passive for item in held.nearest(sentence, embedding, k=limits.max_passive)),
            key=lambda item: -item[1],
        )
        statements = {statement.id: statement for statement, _ in near[: limits.max_passive]}
        if context.said is not None:
            said = context.said.nearest(sentence, embedding, k=limits.max_said)
            statements |= {statement.id: statement for statement, _ in said}
        active = {statement.id for statement in context.active}
        statements |= {statement.id: statement for statement in context.active}
        is_answer = bool(context.question) and len(sentence.split()) <= limits.short_words
        answer = f"{context.question} {sentence}"
        for statement in statements.values():
            # "Sixty-five." contradicts every other number when it stands alone, so its question goes with it.
            supports = statement.id in active
            if is_answer:
                yield _Pair(row, statement, statement.text, answer, may_contradict=True, may_support=supports)
            if supports or not is_answer:
                yield _Pair(
                    row, statement, statement.text, sentence, may_contradict=not is_answer, may_support=supports
                )
        if context.hidden is not None:
            told = answer if is_answer else sentence
            for statement, _ in context.hidden.nearest(sentence, embedding, k=limits.max_hidden):
                yield _Pair(row, statement, statement.text, told, may_reveal=True)
                yield _Pair(row, statement, told, statement.text, may_reveal=True)

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
                contradicted[name] = max(contradicted.get(name, 0.0), float(score[CONTRADICTION]))
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
            if score >= self.thresholds.contradiction:
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
