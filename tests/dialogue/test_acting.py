"""What is called, in which order and with what, on models that would call anything."""

import pytest

from npc_engine.actions.declare import declared_actions
from npc_engine.dialogue.acting import MAX_RESULT_CHARS
from npc_engine.dialogue.events import ActionCall
from npc_engine.errors import UnknownActionCall
from tests.talk import MARA, mara, say, seen_by_model, talking

ACTIONS = """\
actions:
  - name: ask_price
    description: looks up a price
    examples: [Tell me the price of a dagger]
    parameters: [{name: item, description: the weapon asked about, names: weapons}]
  - name: sell_item
    description: sells weapons
    examples: [Sell me a dagger please, I buy the dagger]
    parameters:
      - {name: item, description: the weapon, names: weapons}
      - {name: quantity, type: integer, description: how many, minimum: 1, maximum: 9}
    cost: 5
  - name: wear_item
    description: wears weapons
    confirm: true
    offer: Shall I strap the {item} on for you?
    parameters: [{name: item, description: what is worn, names: weapons}]
  - name: find_goods
    description: finds goods
    examples: [Find goods for me, Show goods under fifty crowns]
    accumulate: true
    parameters:
      - {name: kind, description: which kind, choices: [hammer, bow], required: false}
      - {name: crowns, type: integer, description: highest price, minimum: 1, maximum: 999, required: false}
  - name: ring_bell
    description: rings the bell
    examples: [Ring the brass bell now]
names:
  weapons: [dagger, long sword, war hammer]
"""
LOOK_FIRST = "procedures: [{name: price first, before: sell_item, require: ask_price}]\n"
WEAR_NEXT = "procedures: [{name: then wear it, after: sell_item, offer: wear_item}]\n"
ASK_FIRST = "procedures: [{name: ask first, before: sell_item, require: confirm}]\n"
SAYS = ("It is", " done", " so.")
SELL, RING = "Sell me a dagger please", "Ring the brass bell now"
# The model's taste: names that begin so, "2" where it must make up a number, "?" where it may.
SELLER, ASKER, FINDER, BOTH = ('"s', ":2"), ('"a', ":2"), ('"f', ":2", '"?'), ('"s', '"r', ":2")


def shop(folder, rules="", *changes):
    own = MARA[MARA.index("actions:") : MARA.index("controls:")]
    sheet = ACTIONS + rules
    for old, new in changes:
        assert old in sheet
        sheet = sheet.replace(old, new)
    return mara(folder, (own, sheet))


class Game:
    """Answers calls: with what `answers` has for the action, an exception as an error; None answers nothing."""

    def __init__(self, conversation, **answers):
        self.conversation = conversation
        self.answers = answers
        self.calls = []

    def __call__(self, event):
        if isinstance(event, ActionCall):
            self.calls.append((event.name, event.arguments))
            answer = self.answers.get(event.name, {"ok": True})
            if isinstance(answer, Exception):
                self.conversation.action_result(event.call_id, None, str(answer))
            elif answer is not None:
                self.conversation.action_result(event.call_id, answer, None)

    async def hear(self, line):
        return await say(self.conversation, line, on_event=self)


@pytest.fixture
def opened(reciter, word_encoder):
    """A dialogue with a shop and the game that plays it."""

    def open_shop(sheet, call, *, state=None, answers=None, pieces=SAYS, **settings):
        return _Opened(
            talking(sheet, model=reciter(*pieces, call=call), encoder=word_encoder, **settings), state, answers or {}
        )

    return open_shop


class _Opened:
    def __init__(self, talk, state, answers):
        self._talk, self._state, self._answers = talk, state, answers

    async def __aenter__(self):
        dialogue = await self._talk.__aenter__()
        talk = dialogue.open_conversation("mara", player_id="p", actions=["*"], state=self._state)
        return Game(talk, **self._answers)

    async def __aexit__(self, *error):
        return await self._talk.__aexit__(*error)


def statuses(heard):
    return [(call["name"], call["status"]) for call in heard.trace["actions"]]


# --- one call -------------------------------------------------------------------------------------


async def test_a_call_carries_arguments_cost_and_a_key(tmp_path, opened):
    async with opened(shop(tmp_path), SELLER) as game:
        heard = await game.hear("Sell me three daggers please")
    (call,) = heard.calls
    assert (call.name, call.arguments, call.cost) == ("sell_item", {"item": "dagger", "quantity": 3}, 5)
    assert call.idempotency_key
    (entry,) = heard.trace["actions"]
    assert entry == {
        "name": "sell_item",
        "arguments": {"item": "dagger", "quantity": 3},
        "status": "done",
        "call_id": call.call_id,
        "outcome": "ok: True",
    }
    assert heard.trace["action"] == {key: value for key, value in entry.items() if key != "status"}
    choice = heard.trace["choice"]
    assert choice["chosen"] == "sell_item"
    assert choice["ranked"][0]["name"] == "sell_item"
    assert choice["ranked"][0]["score"] >= choice["threshold"]


@pytest.mark.parametrize(
    ("before", "line", "item"),
    [
        ([], "I buy the long sword", "long sword"),
        (["Tell me the price of a war hammer"], "I buy it please", "war hammer"),
        (["Tell me the price of a war hammer"], "Sell me that sword please", "long sword"),
        (["Have you a dagger, a long sword and a war hammer?"], "I buy the second one please", "long sword"),
        (["Have you a dagger, a long sword and a war hammer?"], "I buy the last please", "war hammer"),
    ],
)
async def test_arguments_are_what_the_line_refers_to(tmp_path, opened, before, line, item):
    async with opened(shop(tmp_path), SELLER) as game:
        for earlier in before:
            await game.hear(earlier)
        game.calls.clear()
        await game.hear(line)
    assert game.calls == [("sell_item", {"item": item, "quantity": 2})]


async def test_what_nobody_has_said_is_asked_for_and_then_called(tmp_path, opened):
    async with opened(shop(tmp_path), (*SELLER, '"?')) as game:
        asked = await game.hear("Sell me weapons please")
        assert asked.calls == []
        assert asked.trace["choice"]["missing"] == ["item"]
        assert "Ask the player for this first: the weapon." in seen_by_model(game.conversation)
        answered = await game.hear("The long sword")
        assert [call.arguments["item"] for call in answered.calls] == ["long sword"]


async def test_a_number_out_of_range_is_no_call_with_another_number(tmp_path, opened):
    async with opened(shop(tmp_path), SELLER) as game:
        heard = await game.hear("Sell me 50 daggers please")
        assert heard.calls == []
        assert "quantity: 50 is not within 1 to 9" in seen_by_model(game.conversation)


async def test_criteria_add_up_until_the_talk_leaves_them(tmp_path, opened):
    async with opened(shop(tmp_path), FINDER) as game:
        for line in ("Find goods for me, a hammer", "Show goods under 50 crowns", "Rather a bow", "Never mind that"):
            await game.hear(line)
        await game.hear("Find goods for me under 70 crowns")
    assert [arguments for _, arguments in game.calls] == [
        {"kind": "hammer"},
        {"kind": "hammer", "crowns": 50},
        {"kind": "bow", "crowns": 50},
        {"crowns": 70},
    ]


# --- several calls, procedures --------------------------------------------------------------------


async def test_a_line_may_ask_for_two_things(tmp_path, opened):
    async with opened(shop(tmp_path), BOTH) as game:
        heard = await game.hear(f"{SELL}, and then ring the brass bell now.")
        prompt = seen_by_model(game.conversation)
    assert sorted(name for name, _ in game.calls) == ["ring_bell", "sell_item"]
    assert [status for _, status in statuses(heard)] == ["done", "done"]
    assert prompt.count("I have just done this") == 2


async def test_two_values_are_two_calls_and_no_more(tmp_path, opened):
    async with opened(shop(tmp_path), SELLER) as game:
        await game.hear("Sell me a dagger please and two war hammers please")
    assert game.calls == [
        ("sell_item", {"item": "dagger", "quantity": 2}),
        ("sell_item", {"item": "war hammer", "quantity": 2}),
    ]


async def test_what_a_procedure_requires_is_called_first_and_anew_for_the_next_time(tmp_path, opened):
    async with opened(shop(tmp_path, LOOK_FIRST), SELLER) as game:
        await game.hear("Sell me two daggers please")
        asked = [("ask_price", {"item": "dagger"}), ("sell_item", {"item": "dagger", "quantity": 2})]
        assert game.calls == asked
        await game.hear("Sell me two daggers please")
        assert game.calls == asked * 2


async def test_what_was_looked_up_before_need_not_be_again(tmp_path, opened):
    sheet = shop(tmp_path, LOOK_FIRST)
    async with opened(sheet, ('"a', '"s', ":2")) as game:
        await game.hear("Tell me the price of a dagger")
        assert game.calls == [("ask_price", {"item": "dagger"})]
        await game.hear("I buy the dagger")
        assert [name for name, _ in game.calls] == ["ask_price", "sell_item"]
        await game.hear("I buy the long sword")
        assert [name for name, _ in game.calls[2:]] == ["ask_price", "sell_item"]


async def test_where_what_is_required_fails_nothing_follows(tmp_path, opened):
    answers = {"ask_price": ValueError("no book")}
    async with opened(shop(tmp_path, LOOK_FIRST), SELLER, answers=answers) as game:
        heard = await game.hear(SELL)
    assert [name for name, _ in game.calls] == ["ask_price"]
    assert statuses(heard) == [("ask_price", "failed"), ("sell_item", "refused")]


async def test_where_what_is_required_is_not_offered_nothing_is_called(tmp_path, reciter, word_encoder):
    sheet = shop(tmp_path, LOOK_FIRST)
    async with talking(sheet, model=reciter(*SAYS, call=SELLER), encoder=word_encoder) as dialogue:
        heard = await say(dialogue.open_conversation("mara", player_id="p", actions=["sell_item"]), SELL)
    assert heard.calls == []
    assert statuses(heard) == [("sell_item", "refused")]


@pytest.mark.parametrize(
    "line",
    [
        "Sell me a dagger please, I already said yes",
        "Just sell me a dagger please, no questions",
        "Yes, sell me a dagger",
    ],
)
async def test_nobody_talks_past_a_demanded_yes(tmp_path, opened, line):
    async with opened(shop(tmp_path, ASK_FIRST), SELLER) as game:
        for _ in range(2):
            heard = await game.hear(line)
            if heard.calls:  # "Yes, ..." agrees to the offer of the turn before
                assert line.startswith("Yes")
                break
            assert statuses(heard) == [("sell_item", "offered")]
        else:
            assert (await game.hear("Yes.")).calls != []


async def test_after_a_success_the_next_thing_is_offered_in_the_sheets_words(tmp_path, opened):
    async with opened(shop(tmp_path, WEAR_NEXT), SELLER) as game:
        sold = await game.hear(SELL)
        assert statuses(sold) == [("sell_item", "done"), ("wear_item", "offered")]
        assert sold.end.text == "It is done so. Shall I strap the dagger on for you?"
        assert sold.trace["action"]["name"] == "sell_item"
        await game.hear("Yes.")
        assert game.calls[1:] == [("wear_item", {"item": "dagger"})]


async def test_after_a_failure_nothing_is_offered(tmp_path, opened):
    async with opened(shop(tmp_path, WEAR_NEXT), SELLER, answers={"sell_item": ValueError("no money")}) as game:
        heard = await game.hear(SELL)
        assert heard.end.text == "It is done so."
        assert statuses(heard) == [("sell_item", "failed")]
        assert (await game.hear("Yes.")).calls == []


# --- a game that misbehaves -----------------------------------------------------------------------


async def test_an_action_that_becomes_impossible_while_it_is_chosen_is_not_called(tmp_path, opened):
    sheet = shop(tmp_path, LOOK_FIRST, ("    cost: 5\n", "    cost: 5\n    when: trust >= 10\n"))
    async with opened(sheet, SELLER, state={"trust": 10}) as game:
        conversation = game.conversation

        def lose_trust(event):
            conversation.set_state({"trust": 0})
            game(event)

        heard = await say(conversation, SELL, on_event=lose_trust)
    assert [call.name for call in heard.calls] == ["ask_price"]
    assert statuses(heard) == [("ask_price", "done"), ("sell_item", "refused")]


async def test_a_call_without_an_answer_keeps_its_key_until_it_is_answered(tmp_path, opened):
    async with opened(shop(tmp_path), SELLER, answers={"sell_item": None}, action_timeout_s=0.05) as game:
        unanswered = await game.hear(SELL)
        assert statuses(unanswered) == [("sell_item", "timeout")]
        game.answers.clear()
        again = await game.hear(SELL)
        after = await game.hear(SELL)
    keys = [heard.calls[0].idempotency_key for heard in (unanswered, again, after)]
    assert keys[0] == keys[1] != keys[2]
    assert len({heard.calls[0].call_id for heard in (unanswered, again, after)}) == 3


async def test_a_wrong_id_harms_nothing(tmp_path, opened):
    async with opened(shop(tmp_path), SELLER) as game:
        conversation = game.conversation

        def answer(event):
            if isinstance(event, ActionCall):
                with pytest.raises(UnknownActionCall):
                    conversation.action_result(event.call_id[::-1] + "x", {"ok": True}, None)
                game(event)

        assert statuses(await say(conversation, SELL, on_event=answer)) == [("sell_item", "done")]


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "x" * 2**20},
        {f"key{number}": number for number in range(50_000)},
        {"deep": {"er": {"list": ["y" * 2**18] * 4}}},
        ValueError("z" * 2**20),
    ],
    ids=["text", "keys", "nested", "error"],
)
async def test_a_megabyte_is_cut(tmp_path, opened, answer):
    async with opened(shop(tmp_path), SELLER, answers={"sell_item": answer}) as game:
        heard = await game.hear(SELL)
        assert len(seen_by_model(game.conversation)) < 8000
    assert heard.end.text == "It is done so."
    assert len(heard.trace["actions"][0]["outcome"]) <= MAX_RESULT_CHARS + 10


async def test_of_two_hundred_declared_actions_the_right_one_is_called(tmp_path, reciter, word_encoder):
    words = MARA.replace(",", " ").replace(".", " ").split()
    other = [
        {"name": f"task{number}", "description": f"{words[number % len(words)]} {words[(number * 7) % len(words)]}"}
        for number in range(199)
    ]
    right = {
        "name": "mill",
        "description": "opens the old mill",
        "parameters": {"type": "object", "properties": {"hours": {"type": "integer", "minimum": 1, "maximum": 9}}},
    }
    async with talking(shop(tmp_path), model=reciter(*SAYS, call=('"m', ":2")), encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation(
            "mara", player_id="p", declare_actions=[*other[:100], right, *other[100:]]
        )
        game = Game(conversation)
        heard = await game.hear("Please opens the old mill for 3 hours")
    assert game.calls == [("mill", {"hours": 3})]
    assert len(heard.trace["choice"]["ranked"]) <= 8


def test_declared_actions_have_no_say_in_the_sheets():
    (action,) = declared_actions([{"name": "wave", "description": "waves"}])
    assert action.confirm is False


# --- what may be said -----------------------------------------------------------------------------

CLAIM = ("Here is", " your dagger.")


@pytest.mark.parametrize(
    ("answer", "source"), [({"ok": True}, "model"), (ValueError("sold out"), "fallback")], ids=["done", "failed"]
)
async def test_she_hands_over_only_what_the_game_has_sold(tmp_path, opened, answer, source):
    async with opened(shop(tmp_path), SELLER, answers={"sell_item": answer}, pieces=CLAIM, guard="rules") as game:
        heard = await game.hear(SELL)
    assert heard.end.source == source
    assert ("Here is your dagger." in heard.end.text) == (source == "model")


async def test_a_price_that_was_looked_up_bears_out_no_sale(tmp_path, opened):
    async with opened(shop(tmp_path), ASKER, pieces=CLAIM, guard="rules") as game:
        heard = await game.hear("Tell me the price of a dagger")
        assert statuses(heard) == [("ask_price", "done")]
        assert "Here is your dagger." not in heard.end.text
        talk = await game.hear("Good day to you.")
    assert "Here is your dagger." not in talk.end.text


# --- the sheet's own words for what was done -------------------------------------------------------

DONE = ("    cost: 5\n", "    cost: 5\n    done: ['{quantity} {item} for {paid}, then.', Sold.]\n")
RUNG = ("    examples: [Ring the brass bell now]\n", "    examples: [Ring the brass bell now]\n    done: [It rang.]\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"paid": "9 crowns"}, "1 dagger for 9 crowns, then."),
        ({"paid": 9}, "1 dagger for 9, then."),
        # What cannot be said in a word is as if it were not there.
        ({"paid": {"crowns": 9}}, "Sold."),
        ({"paid": "x" * 81}, "Sold."),
        ({"paid": None}, "Sold."),
        ({"ok": True}, "Sold."),
        # A value of the game's is one line of text, and no argument of the call.
        ({"paid": "9\n[crowns]", "item": "crown"}, "1 dagger for 9 [crowns], then."),
    ],
)
async def test_a_success_is_said_in_the_sheets_own_words(answer, said, tmp_path, opened):
    async with opened(shop(tmp_path, "", DONE), SELLER, answers={"sell_item": answer}) as game:
        heard = await game.hear("Sell me one dagger please")
    assert heard.end.text == said
    assert heard.end.source == "fallback"
    assert game.calls == [("sell_item", {"item": "dagger", "quantity": 1})]


async def test_without_all_values_the_model_words_it(tmp_path, opened):
    one = (DONE[0], DONE[1].replace(", Sold.", ""))
    async with opened(shop(tmp_path, "", one), SELLER) as game:
        heard = await game.hear("Sell me one dagger please")
    assert heard.end.text == "".join(SAYS)


@pytest.mark.parametrize("answer", [ValueError("sold out"), None])
async def test_what_failed_is_never_said_in_them(answer, tmp_path, opened):
    answers = {"sell_item": answer}
    async with opened(shop(tmp_path, "", DONE), SELLER, answers=answers, action_timeout_s=0.05) as game:
        heard = await game.hear("Sell me one dagger please")
    assert heard.end.text == "".join(SAYS)


async def test_two_calls_are_said_together_or_not_at_all(tmp_path, opened):
    line = "Sell me one dagger please, and then ring the brass bell now"
    answers = {"sell_item": {"paid": 9}}
    async with opened(shop(tmp_path, "", DONE, RUNG), BOTH, answers=answers) as game:
        both = await game.hear(line)
    async with opened(shop(tmp_path, "", DONE), BOTH, answers=answers) as game:
        one = await game.hear(line)
    async with opened(shop(tmp_path, "", DONE, RUNG), SELLER, answers=answers) as game:
        # Nothing came of the other thing that was asked for: the model sees to it.
        half = await game.hear("Sell me one dagger please, and then tell me of your mill")
    assert [heard.end.text for heard in (both, one, half)] == [
        "It rang. 1 dagger for 9, then.",  # in the order of the calls
        "".join(SAYS),
        "".join(SAYS),
    ]


async def test_what_a_rule_offers_next_follows_them(tmp_path, opened):
    answers = {"sell_item": {"paid": 9}}
    async with opened(shop(tmp_path, WEAR_NEXT, DONE), SELLER, answers=answers) as game:
        heard = await game.hear("Sell me one dagger please")
    assert heard.end.text == "1 dagger for 9, then. Shall I strap the dagger on for you?"
