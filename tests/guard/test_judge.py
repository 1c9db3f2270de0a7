"""The judge over statements, with an NLI model that answers by a table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.guard.judge import Judge, JudgeContext, is_claim, threshold_for
from npc_engine.guard.nearest import Held, StatementIndex
from npc_engine.guard.rules import Allowed, RuleContext
from npc_engine.guard.verdict import Statement, Thresholds
from tests.guard.table import TableNli, WordEncoder

ENCODER = WordEncoder()


def index(*texts, kind="fact"):
    statements = [Statement(id=f"{kind}{number}", text=text, kind=kind) for number, text in enumerate(texts)]
    return StatementIndex(statements, ENCODER.embed(texts))


# Every statement is judged, however far it is; what nearness does has tests of its own.
ALL = Thresholds(near=-1.0, nearness_weight=0.0)


def judge(*table, thresholds=ALL):
    return Judge(ENCODER, TableNli(*table), thresholds)


FREE = RuleContext(allowed=Allowed(told=["forty crowns, fifty crowns"]))


async def test_a_contradicted_statement_is_named():
    context = JudgeContext(rules=FREE, passive=[Held(index=index("I am a smith.", "I have two sons."))])
    verdict = await judge(("two sons", "no children", "contradiction")).judge("I have no children.", context)
    (reason,) = verdict.reasons
    assert (reason.kind, reason.statement_id, reason.span) == ("contradiction", "fact1", "I have no children.")
    assert reason.score == verdict.contradiction == pytest.approx(0.9)
    assert verdict.num_judged == 2


async def test_what_was_said_counts_however_far_it_is():
    said = Held(index=index("I never had a brother.", kind="said"))
    context = JudgeContext(rules=FREE, passive=[Held(index=index(*["My brother smiths."] * 100))], said=said)
    verdict = await judge(("never had", "brother is", "contradiction")).judge("My brother is a smith.", context)
    assert [reason.statement_id for reason in verdict.reasons] == ["said0"]


async def test_an_answer_is_judged_with_its_question():
    active = [Statement(id="price", text="A sword costs forty crowns.", kind="fact")]
    context = JudgeContext(rules=FREE, active=active, question="What does a sword cost?")
    table = ("sword costs", "What does a sword cost? Fifty", "contradiction"), ("sword", "Fifty", "contradiction")
    verdict = await judge(table[0]).judge("Fifty crowns.", context)
    assert [reason.kind for reason in verdict.reasons] == ["contradiction"]
    # Standing alone, "Fifty crowns." contradicts nothing: it may be the price of something else.
    assert (await judge(table[1]).judge("Fifty crowns.", context)).contradiction == pytest.approx(0.9)
    assert (await judge(table[1]).judge("Fifty crowns.", JudgeContext(rules=FREE, active=active))).reasons
    long = "Fifty crowns for that one over there."
    asked = TableNli()
    await Judge(ENCODER, asked).judge(long, context)
    assert [pair[1] for pair in asked.asked] == [long]


async def test_support_comes_from_the_active_statements():
    active = [Statement(id="price", text="A sword costs forty crowns.", kind="fact")]
    context = JudgeContext(rules=FREE, active=active, passive=[Held(index=index("Forty is my age."))])
    verdict = await judge(("", "forty", "entailment")).judge("For a sword I take forty crowns.", context)
    assert verdict.is_sayable
    assert (verdict.supported_by, verdict.support) == ("price", pytest.approx(0.9))


async def test_a_deed_must_follow_from_the_result():
    active = [Statement(id="action:1", text="I have just rung the bell.", kind="action_result")]
    context = JudgeContext(rules=RuleContext(deeds="by_result"), active=active)
    asks = judge(("rung the bell", "I have rung", "entailment"))
    assert (await asks.judge("I have rung it now, all right.", context)).is_sayable
    verdict = await asks.judge("I have sold you the bell.", context)
    assert [reason.kind for reason in verdict.reasons] == ["unsupported"]
    assert (await asks.judge("It is a loud bell, that one.", context)).is_sayable


async def test_where_support_is_needed_a_claim_follows_from_something_or_says_that_nobody_knows():
    passive = [Held(index=index("The mill stands by the river."))]
    open_question = JudgeContext(rules=FREE, passive=passive, question="Who built the mill?", needs_support=True)
    entails = judge(("by the river", "near water", "entailment"))
    giant = "A giant did, with both his hands."
    (reason,) = (await entails.judge(giant, open_question)).reasons
    assert (reason.kind, reason.score) == ("ungrounded", pytest.approx(0.95))
    for sentence in ("That mill there is near water.", "I do not know who did.", "Who would ask me that?"):
        assert (await entails.judge(sentence, open_question)).is_sayable
    assert (await entails.judge(giant, JudgeContext(rules=FREE, passive=passive))).is_sayable
    assert not (await entails.judge(giant, JudgeContext(needs_support=True))).is_sayable


async def test_a_secret_needs_entailment_both_ways():
    hidden = Held(index=index("My chest holds gold."))
    context = JudgeContext(hidden=hidden)
    both = ("chest holds gold", "rich", "entailment"), ("rich", "chest holds gold", "entailment")
    assert [r.kind for r in (await judge(*both).judge("I am quite rich, you know.", context)).reasons] == ["secret"]
    assert (await judge(both[0]).judge("I am quite rich, you know.", context)).is_sayable


async def test_a_question_claims_nothing_and_a_broken_rule_ends_it():
    nli = TableNli()
    context = JudgeContext(passive=[Held(index=index("I am a smith."))])
    verdicts = await Judge(ENCODER, nli).judge_all(["What is it?", "It costs ninety crowns."], context)
    assert nli.asked == []
    assert [bool(verdict.reasons) for verdict in verdicts] == [False, True]


async def test_without_a_model_it_says_so():
    judged = Judge(ENCODER, None)
    assert judged.means == "no NLI model: string rules only"
    verdict = await judged.judge("I am no smith.", JudgeContext(passive=[Held(index=index("I am a smith."))]))
    assert (verdict.is_sayable, verdict.contradiction, verdict.num_judged) == (True, None, 0)


@pytest.mark.parametrize("size", [10, 5000])
async def test_the_pairs_do_not_grow_with_the_sheet(size):
    nli = TableNli()
    facts = index(*(f"Fact {number} is about swords." for number in range(size)))
    context = JudgeContext(passive=[Held(index=facts)])
    await Judge(ENCODER, nli, ALL).judge("Swords are dear these days, all.", context)
    assert len(nli.asked) == min(size, 32)


MILL, SMITH = "My brother runs the mill.", "I am a smith."
DENIES = ("", "no brother", "contradiction")


async def test_only_what_is_near_can_be_contradicted():
    nli = TableNli(DENIES)
    context = JudgeContext(rules=FREE, passive=[Held(index=index(MILL, SMITH))])
    verdict = await Judge(ENCODER, nli, Thresholds()).judge("No brother of mine, he runs the mill no more.", context)
    assert [premise for premise, _ in nli.asked] == [MILL]
    far = await judge(DENIES, thresholds=Thresholds()).judge("I have no brother here to speak of.", context)
    near = await judge(DENIES, thresholds=Thresholds()).judge("There is no brother who runs the mill.", context)
    assert near.contradiction > (far.contradiction or 0.0)
    assert verdict.num_judged == 1


async def test_what_a_statement_bears_out_more_surely_contradicts_no_other():
    prices = index("A short sword costs forty crowns.", "A long sword costs sixty crowns.")
    context = JudgeContext(rules=FREE, passive=[Held(index=prices)])
    against = ("long sword", "forty", "contradiction")
    said = "For that short sword I take forty crowns."
    assert not (await judge(against).judge(said, context)).is_sayable
    both = await judge(("short sword", "forty", "entailment"), against, thresholds=Thresholds(near=-1.0)).judge(
        said, context
    )
    assert both.is_sayable
    assert both.contradiction > 0.1


async def test_a_result_is_as_near_as_can_be_and_a_fact_that_answers_only_as_near_as_it_is():
    result = Statement(id="action:1", text="A dagger was sold.", kind="action_result")
    fact = Statement(id="fact0", text=SMITH, kind="fact")
    passive = [Held(index=index(SMITH, *(f"Lamp {number} is lit." for number in range(40))))]
    said = "Nothing of yours has changed hands today."
    for active, contradicted in (([result], ["action:1"]), ([fact], [])):
        context = JudgeContext(rules=FREE, passive=passive, active=active)
        verdict = await judge(("", "Nothing", "contradiction"), thresholds=Thresholds()).judge(said, context)
        assert [reason.statement_id for reason in verdict.reasons] == contradicted
        assert verdict.support is not None


@given(st.floats(0, 1), st.floats(-1, 2))
def test_the_odds_of_a_contradiction_grow_with_nearness(probability, nearness):
    limits = Thresholds()
    weighed = limits.contradicts(probability, nearness)
    assert 0 <= weighed <= 1
    assert weighed <= limits.contradicts(probability, nearness + 0.1)
    assert limits.contradicts(probability, None) == probability
    assert limits.contradicts(probability, limits.full_nearness) == pytest.approx(probability, abs=1e-6)
    assert weighed <= probability + 1e-6


def test_statements_that_do_not_hold_are_not_near():
    facts = index("A sword costs forty crowns.", "A sword costs fifty crowns.")
    sentence = "A sword costs fifty crowns."
    (embedding,) = ENCODER.embed([sentence])
    always = facts.nearest(sentence, embedding, k=1, holds=np.array([True, True]), always={"fact0", "unknown"})
    assert [statement.id for statement, _ in always] == ["fact1", "fact0"]
    near = facts.nearest(sentence, embedding, k=5, holds=np.array([True, False]))
    assert [statement.id for statement, _ in near] == ["fact0"]
    assert [s.id for s, _ in facts.nearest(sentence, embedding, k=1)] == ["fact1"]
    assert index().nearest(sentence, embedding, k=5) == []


@pytest.mark.parametrize(("sentence", "claims"), [("Forty.", True), ("Why?", False), ('"Why?"', False)])
def test_what_claims_something(sentence, claims):
    assert is_claim(sentence) == claims


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1),
    st.floats(0, 1),
)
def test_a_fitted_threshold_keeps_the_share_of_false_alarms(scored, share):
    good = [score for score, is_bad in scored if not is_bad]
    if not good:
        with pytest.raises(ValueError, match="no good"):
            threshold_for(*zip(*scored, strict=True), max_false_alarm_share=share)
        return
    threshold = threshold_for(*zip(*scored, strict=True), max_false_alarm_share=share)
    alarms = sum(score >= threshold for score in good)
    assert alarms <= share * len(good) or threshold == 1.0
