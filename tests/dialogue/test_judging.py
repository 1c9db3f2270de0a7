"""Sentences are judged before they are heard: what is rejected, what is said instead, what the trace tells."""

import asyncio
import json

import pytest

from npc_engine.dialogue.events import Sentence, Token, TurnEnd
from npc_engine.guard.strategies import STRATEGIES
from tests.guard.table import TableNli
from tests.talk import CALL_NONE, CALL_RING, RING, answering, at_once, say, talking

ASK = "What does a sword cost?"
EXACTLY = "A sword costs forty crowns?"  # the fact answers it beyond doubt
DENIES = ("A sword costs", "No swords", "contradiction")


async def hear(sheet, model, encoder, line=ASK, *, nli=None, state=None, **settings):
    async with talking(sheet, model=model, encoder=encoder, nli=nli, **({"guard": "judge"} | settings)) as dialogue:
        return await say(dialogue.open_conversation("mara", player_id="p", state=state), line)


def outcomes(heard):
    return [(entry["text"], entry["outcome"]) for entry in heard.trace["judge"]["sentences"]]


# --- what is rejected ------------------------------------------------------------------------------


async def test_a_contradiction_is_not_heard(sheet, brancher, word_encoder):
    model = brancher(["Forty", " crowns."], ["No swords", " here, friend of mine."])
    repaired = 0
    async with talking(sheet, model=model, encoder=word_encoder, nli=TableNli(DENIES), guard="judge") as dialogue:
        for number in range(8):
            heard = await say(dialogue.open_conversation("mara", player_id=str(number)), ASK)
            # Where all three samples are bad, an authored line is said.
            assert heard.end.text in ("Forty crowns.", *sheet.fallbacks.unknown)
            (first, *_) = heard.trace["judge"]["sentences"]
            if first["outcome"] == "rejected":
                repaired += first["repair"] == "sampled again"
                assert first["reasons"][0] | {"score": 0} == {
                    "kind": "contradiction",
                    "statement": "price-sword",
                    "score": 0,
                    "span": "No swords here, friend of mine.",
                }
    assert repaired > 0


async def test_a_wrong_price_becomes_the_right_one(sheet, reciter, word_encoder):
    heard = await hear(sheet, reciter("Fifty", " crowns.", " No less."), word_encoder)
    # The reply goes on after the price as if the model had said it so, and this model knows no way on from there.
    assert heard.sentences[0] == "Forty crowns."
    assert heard.end.source == "model"
    assert outcomes(heard)[:2] == [("Fifty crowns.", "rejected"), ("Forty crowns.", "edited")]
    assert heard.trace["judge"]["sentences"][0]["repair"] == "edited"


REJECTED = {
    "a name nobody knows": (["Ask", " Brandon."], "Hello.", "name", "unknown"),
    "a price nobody told": (["That is", " nine crowns."], "Hello.", "number", "unknown"),
    "talk of an assistant": (["How can I", " assist you today?"], "Hello.", "assistant", "refusal"),
    "the prompt's words": (["My instructions", " forbid it."], "Hello.", "instruction", "refusal"),
    "another world": (["Look on", " the internet."], "Hello.", "other_world", "out_of_world"),
    "narration": (["She smiles", " at you."], "Hello.", "stage_direction", "error"),
    "a deed on a task without a result": (["I have rung", " the bell."], RING, "deed", "error"),
}


@pytest.mark.parametrize(("pieces", "line", "kind", "fallback"), REJECTED.values(), ids=REJECTED.keys())
async def test_an_authored_line_stands_in(sheet, reciter, word_encoder, pieces, line, kind, fallback):
    model = reciter(*pieces, call=CALL_NONE)
    async with talking(sheet, model=model, encoder=word_encoder, guard="rules") as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p", actions=["*"]), line)
    assert heard.end.text in getattr(sheet.fallbacks, fallback)
    assert heard.spoken == heard.end.text == " ".join(heard.sentences)
    assert (heard.end.source, heard.end.finish_reason) == ("fallback", "guard")
    (entry,) = heard.trace["judge"]["sentences"]
    assert (entry["outcome"], entry["repair"], entry["reasons"][0]["kind"]) == ("rejected", "none found", kind)


async def test_a_deed_that_the_game_reported_may_be_said(sheet, reciter, word_encoder):
    model = reciter("I have rung", " the bell.", call=CALL_RING)
    for error, said in ((None, True), ("no rope", False)):
        async with talking(sheet, model=model, encoder=word_encoder, guard="rules") as dialogue:
            conversation = dialogue.open_conversation("mara", player_id="p", actions=["*"])
            result = None if error else {"volume": "deafening"}
            heard = await say(conversation, RING, on_event=answering(conversation, result, error))
        assert (heard.end.text == "I have rung the bell.") == said


async def test_a_secret_is_neither_said_nor_traced(sheet, reciter, word_encoder):
    model = reciter("The treasure", " lies under", " my anvil.")
    line = "Where does the hidden treasure lie?"
    heard = await hear(sheet, model, word_encoder, line)
    assert heard.end.text in sheet.fallbacks.refusal
    assert "anvil" not in json.dumps(heard.trace)
    assert heard.trace["judge"]["sentences"][0]["reasons"][0]["statement"] == "treasure"
    told = await hear(sheet, model, word_encoder, line, state={"trust": 60})
    assert told.end.text == "The treasure lies under my anvil."


async def test_words_that_the_sheet_avoids_are_not_said(tmp_path, reciter, word_encoder):
    from tests.talk import mara

    strict = mara(tmp_path, ("  register: short", "  register: short\n  avoid: [good day]"))
    assert (await hear(strict, reciter("Good day", " to you."), word_encoder, "Hello.")).end.source == "fallback"


async def test_the_fact_itself_stands_in_where_it_answers(sheet, reciter, word_encoder):
    heard = await hear(sheet, reciter("Ask", " Brandon."), word_encoder, EXACTLY)
    assert heard.end.text == "A sword costs forty crowns."
    assert (heard.end.source, heard.end.finish_reason) == ("fallback", "guard")
    assert heard.premises[0] == "price-sword"


async def test_a_bad_later_sentence_is_left_out(sheet, reciter, word_encoder):
    heard = await hear(sheet, reciter("Forty", " crowns.", " Ask", " Brandon."), word_encoder)
    assert heard.sentences == ["Forty crowns."]
    assert (heard.end.source, heard.end.finish_reason) == ("model", "guard")
    assert outcomes(heard) == [("Forty crowns.", "said"), ("Ask Brandon.", "rejected")]


async def test_where_what_was_heard_is_no_answer_one_follows(sheet, reciter, word_encoder):
    heard = await hear(sheet, reciter("Well met.", " Ask", " Brandon."), word_encoder, EXACTLY)
    assert heard.sentences == ["Well met.", "A sword costs forty crowns."]
    assert heard.spoken == heard.end.text
    assert (heard.end.source, heard.end.finish_reason) == ("model", "guard")


async def test_she_does_not_contradict_what_she_said(sheet, brancher, word_encoder):
    nli = TableNli(("I like iron", "I hate iron", "contradiction"))
    model = brancher(["I like iron", " best of all."], ["I hate iron", " most of all."])
    async with talking(sheet, model=model, encoder=word_encoder, nli=nli, guard="judge") as dialogue:
        for number in range(4):
            conversation = dialogue.open_conversation("mara", player_id=str(number))
            said = [(await say(conversation, "Tell me about iron then")).end.text for _ in range(4)]
            liked = [text for text in said if "like iron" in text]
            after = said[said.index(liked[0]) :] if liked else []
            assert not any("hate iron" in text for text in after)


# --- when it is judged ------------------------------------------------------------------------------


class SlowNli(TableNli):
    """Answers when it is let."""

    def __init__(self, *rows):
        super().__init__(*rows)
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def scores(self, pairs):
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().scores(pairs)


async def test_nothing_of_a_sentence_leaves_before_its_verdict(sheet, reciter, word_encoder):
    nli, heard = SlowNli(), []
    model = reciter("Forty", " crowns.", " Not less.")
    async with talking(sheet, model=model, encoder=word_encoder, nli=nli, guard="judge") as dialogue:
        talk = asyncio.create_task(say(dialogue.open_conversation("mara", player_id="p"), ASK, on_event=heard.append))
        await nli.is_asked.wait()
        assert heard == []
        nli.may_answer.set()
        await talk
    assert [type(event) for event in heard] == [Token, Sentence, Token, Sentence, TurnEnd]


async def test_the_decoder_goes_on_while_the_judge_works(sheet, reciter, word_encoder):
    nli = SlowNli()
    model = reciter("Forty", " crowns.", " Not less.")
    async with talking(sheet, model=model, encoder=word_encoder, nli=nli, guard="judge") as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        talk = asyncio.create_task(say(conversation, ASK))
        await nli.is_asked.wait()
        while dialogue.health()["running"]:  # drafts to its end, though nothing was judged yet
            await asyncio.sleep(0)
        assert dialogue.health()["output_tokens"] >= 4
        nli.may_answer.set()
        assert (await talk).sentences == ["Forty crowns.", "Not less."]


async def test_cancelling_while_it_judges_leaves_nothing_said(sheet, reciter, word_encoder):
    nli = SlowNli()
    async with talking(
        sheet, model=reciter("Forty", " crowns."), encoder=word_encoder, nli=nli, guard="judge"
    ) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p")
        talk = asyncio.create_task(say(conversation, ASK))
        await nli.is_asked.wait()
        assert conversation.cancel()
        heard = await talk
        assert (heard.end.text, heard.end.finish_reason, heard.end.source) == ("", "cancelled", "none")
        assert "stopped while judging" in heard.trace["stages"]["judge"]
        nli.may_answer.set()
        assert (await say(conversation, ASK)).end.text == "Forty crowns."
        assert (dialogue.health()["running"], dialogue.health()["waiting"]) == (0, 0)


async def test_a_judge_slower_than_the_deadline(sheet, reciter, word_encoder):
    nli = SlowNli()
    heard = await hear(sheet, reciter("Forty", " crowns."), word_encoder, nli=nli, turn_deadline_s=1.0)
    assert heard.end.text in sheet.fallbacks.error
    assert heard.trace["stopped"] == "deadline"
    assert "stopped while judging" in heard.trace["stages"]["judge"]


async def test_what_was_judged_before_the_deadline_is_kept(sheet, reciter, word_encoder):
    class Tiring(SlowNli):
        async def scores(self, pairs):
            if not self.asked:
                self.may_answer.set()
            else:
                self.may_answer.clear()
            return await super().scores(pairs)

    model = reciter("Forty", " crowns.", " Not less.")
    heard = await hear(sheet, model, word_encoder, nli=Tiring(), turn_deadline_s=2.0)
    assert (heard.end.text, heard.end.source, heard.end.finish_reason) == ("Forty crowns.", "model", "length")


async def test_one_players_bad_reply_is_nobody_elses(sheet, babbler, word_encoder):
    nli = TableNli(("", "old mill", "contradiction"))
    settings = {"seed": 3, "temperature": 1.0, "guard": "judge", "num_slots": 8}

    async def talk(number, dialogue):
        conversation = dialogue.open_conversation("mara", player_id=str(number))
        return [(await say(conversation, f"{line} {number}")).end.text for line in ("Hello", "Where")]

    async with talking(sheet, model=babbler, encoder=word_encoder, nli=nli, **settings) as dialogue:
        alone = [await talk(number, dialogue) for number in range(4)]
    async with talking(sheet, model=babbler, encoder=word_encoder, nli=nli, **settings) as dialogue:
        together = await at_once(*(talk(number, dialogue) for number in range(4)))
    assert together == alone
    assert not any("old mill" in text for texts in alone for text in texts)


# --- what the trace tells ------------------------------------------------------------------------------


async def test_the_trace_tells_what_was_judged(sheet, reciter, word_encoder):
    nli = TableNli(("A sword costs", "Forty", "entailment"))
    heard = await hear(sheet, reciter("Forty", " crowns."), word_encoder, nli=nli)
    judged = json.loads(json.dumps(heard.trace["judge"]))
    assert judged["guard"] == "judge"
    assert judged["by"] == "string rules and table"
    assert (judged["num_passive"], judged["num_hidden"]) == (5, 2)
    assert judged["sentences"] == [
        {
            "text": "Forty crowns.",
            "outcome": "said",
            "reasons": [],
            "contradiction": 0.05,
            "support": 0.9,
            "grounded": 0.9,
            "supported_by": "price-sword",
            "num_judged": judged["sentences"][0]["num_judged"],
        }
    ]
    assert heard.trace["latency"]["judge_s"] > 0
    assert heard.trace["stages"]["judge"] == "string rules and table; 1 sentences passed, 0 rejected"


async def test_without_a_model_the_trace_and_health_say_so(sheet, reciter, word_encoder):
    async with talking(sheet, model=reciter("Forty", " crowns."), encoder=word_encoder, guard="judge") as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p"), ASK)
        assert dialogue.health()["judge"] == "no NLI model: string rules only"
    assert heard.trace["judge"]["by"] == "no NLI model: string rules only"
    assert "string rules only" in heard.trace["stages"]["judge"]


@pytest.mark.parametrize("guard", STRATEGIES)
async def test_every_strategy_says_a_good_sentence(sheet, brancher, word_encoder, guard):
    model = brancher(["Forty", " crowns."], ["No swords", " here, friend of mine."], ["Ask", " Brandon."])
    nli = TableNli(DENIES)
    heard = await hear(sheet, model, word_encoder, guard=guard, nli=nli, first_sentence_candidates=8)
    assert heard.end.text in ("Forty crowns.", "No swords here, friend of mine.")
    assert heard.spoken == heard.end.text
    if STRATEGIES[guard].draws == "always":
        (drawn,) = heard.trace["judge"]["candidates"]
        assert len(drawn) == 8
        assert sum(one["is_said"] for one in drawn) == 1
        assert all(one["is_rejected"] == (one["text"] == "Ask Brandon.") for one in drawn)


async def test_a_reply_goes_on_from_the_sample_that_was_chosen(sheet, brancher, word_encoder):
    model = brancher(["Forty", " crowns.", " Not one less."], ["No swords", " here, friend of mine.", " Go home."])
    heard = await hear(sheet, model, word_encoder, guard="rerank", nli=TableNli(DENIES), first_sentence_candidates=8)
    assert heard.sentences == ["Forty crowns.", "Not one less."]
