"""A scene over a real socket: who heard what, who speaks next, and what goes wrong for one and not for the others."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from npc_engine.client import ActionFailed, AsyncClient, Sentence, TurnEnd
from npc_engine.errors import (
    ConnectionLost,
    InternalError,
    NpcEngineError,
    Overloaded,
    RequestError,
    TextTooLong,
    TooManyConversations,
    TurnInProgress,
    UnknownCharacter,
)
from npc_engine.playtest.scene import Scene
from tests.playtest.scene.cast import CastServer

TWO, THREE = ("hesta", "corin"), ("hesta", "corin", "nell")


@pytest.fixture
def server():
    with CastServer() as running:
        yield running


@asynccontextmanager
async def scene(server, *members, absent=(), **options):
    async with (
        AsyncClient(server.address) as client,
        Scene(client, player_id="ada", player_name="Ada", **options) as opened,
    ):
        await opened.begin(members or TWO, absent=absent)
        for one in server.dialogue.conversations:
            one.heard_events.clear()  # the greetings
        yield opened


async def heard(opened, line, **options):
    """The events of a round as (member, event)."""
    return [(one.member, one.event) async for one in opened.say(line, **options)]


def ends(events):
    return [(member, event.text) for member, event in events if isinstance(event, TurnEnd)]


async def test_the_addressed_answers_and_the_others_hear(server):
    server.dialogue.answers = {"corin": "Twelve pennies."}
    async with scene(server, *THREE) as opened:
        events = await heard(opened, "What is a room, Corin?", seed=5)
        assert ends(events) == [("corin", "Twelve pennies.")]
        assert [event.text for _, event in events if isinstance(event, Sentence)] == ["Twelve pennies."]
        assert server.of("corin").asked == [("What is a room, Corin?", 5)]
        for other in ("hesta", "nell"):
            assert server.told(other) == [
                "Ada has just said to Corin Vey: What is a room, Corin?",
                "Corin Vey has just said to Ada: Twelve pennies.",
            ]
        assert server.told("corin") == []
        (current,) = opened.rounds
        assert current.addressed.how == "named"
        assert [one.heard_by for one in opened.hearing.said[-2:]] == [THREE, THREE]


async def test_greetings_are_heard_by_those_who_are_there(server):
    async with AsyncClient(server.address) as client, Scene(client, player_id="ada", player_name="Ada") as opened:
        await opened.begin(TWO)
    assert server.told("hesta") == ["Corin Vey has just said to Ada: Corin here."]
    assert server.told("corin") == ["Hesta Varrow has just said to Ada: Hesta here."]


async def test_several_answer_in_order_and_the_later_have_heard_the_earlier(server):
    server.dialogue.answers = {"hesta": "Swords.", "corin": "Beds."}
    async with scene(server, *THREE) as opened:
        events = await heard(opened, "Corin and Hesta, what do you sell?", seed=1)
        assert ends(events) == [("corin", "Beds."), ("hesta", "Swords.")]
        assert server.of("hesta").knew == ["Corin Vey has just said to Ada: Beds."]
        assert [server.of(one).asked[0][1] for one in ("corin", "hesta")] == [1, 2]
        assert server.told("nell") == [
            "Ada has just said to Corin Vey and Hesta Varrow: Corin and Hesta, what do you sell?",
            "Corin Vey has just said to Ada: Beds.",
            "Hesta Varrow has just said to Ada: Swords.",
        ]
        everyone = await heard(opened, "Does anyone sell rope?")
        assert [member for member, _ in ends(everyone)] == list(THREE)


async def test_nobody_named_is_whoever_was_last_spoken_with(server):
    async with scene(server) as opened:
        assert ends(await heard(opened, "Good day."))[0][0] == "hesta"
        await heard(opened, "Corin, a bed?")
        assert ends(await heard(opened, "And breakfast?"))[0][0] == "corin"


async def test_a_reply_that_calls_somebody_is_answered_in_a_talk_of_their_own(server):
    server.dialogue.answers = {
        ("hesta", "ada"): "I sell swords. Corin, what is a bed?",
        ("corin", "hesta"): "A bed is four. Hesta, do you need one?",
    }
    async with scene(server, *THREE) as opened:
        await heard(opened, "Nell, a coffin?")
        events = await heard(opened, "Hesta, what do you sell?", seed=3)
        assert [member for member, _ in ends(events)] == ["hesta", "corin"]
        among = server.of("corin", "hesta")
        assert (among.player_name, list(among.actions)) == ("Hesta Varrow", [])
        assert among.asked == [("I sell swords. Corin, what is a bed?", 4)]
        # It is told all that Corin heard but the line that it is asked.
        assert among.knew == [
            "Hesta Varrow has just said to Ada: Hesta here.",
            "Corin Vey has just said to Ada: Corin here.",
            "Nell Harker has just said to Ada: Nell here.",
            "Ada has just said to Nell Harker: Nell, a coffin?",
            "Nell Harker has just said to Ada: Yes.",
            "Ada has just said to Hesta Varrow: Hesta, what do you sell?",
        ]
        said = "Corin Vey has just said to Hesta Varrow: A bed is four. Hesta, do you need one?"
        assert [server.told(one)[-1] for one in THREE] == [said] * 3
        # One chain a round: Hesta does not go on.
        assert opened.rounds[-1].replies[-1].to == "hesta"


@pytest.mark.parametrize(("max_chain", "speakers"), [(0, "h"), (1, "hc"), (2, "hch"), (4, "hchch")])
async def test_a_chain_has_an_end(server, max_chain, speakers):
    server.dialogue.answers = {"hesta": "Corin, is it so?", "corin": "Hesta, is it so?"}
    async with scene(server, max_chain=max_chain) as opened:
        events = await heard(opened, "Hesta, good day.")
        assert "".join(member[0] for member, _ in ends(events)) == speakers
    assert all(one.closed.is_set() for one in server.dialogue.conversations)


async def test_who_has_answered_since_is_not_called_again(server):
    server.dialogue.answers = {"hesta": "Corin, you first."}
    async with scene(server) as opened:
        events = await heard(opened, "Hesta and Corin, what do you sell?")
        assert [member for member, _ in ends(events)] == ["hesta", "corin"]


async def test_the_absent_hear_nothing(server):
    async with scene(server, *TWO, absent=["nell"]) as opened:
        await heard(opened, "Corin, a bed?")
        with pytest.raises(IndexError):
            server.of("nell")
        await opened.leave("Corin")
        await heard(opened, "Hesta, is Corin honest?")
        assert server.told("corin") == []
        nell = await opened.join("nell")
        assert (nell.greeting, nell.heard[0].text) == ("Nell here.", "Nell here.")
        assert server.told("hesta")[-1] == "Nell Harker has just said to Ada: Nell here."
        await opened.join("Corin Vey")
        await heard(opened, "Hesta, good day.")
        assert (
            server.told("corin")
            == server.told("nell")
            == [
                "Ada has just said to Hesta Varrow: Hesta, good day.",
                "Hesta Varrow has just said to Ada: Yes.",
            ]
        )
        # The same talk goes on.
        assert server.of("corin").asked == [("Corin, a bed?", None)]


async def test_who_is_away_is_not_addressed(server):
    async with scene(server, *THREE) as opened:
        await heard(opened, "Corin, a bed?")
        await opened.leave("corin")
        events = await heard(opened, "Corin, are you there?")
        assert ends(events)[0][0] == "hesta"
        assert opened.rounds[-1].absent == ("corin",)
        server.dialogue.answers = {"hesta": "Corin, answer her."}
        assert [member for member, _ in ends(await heard(opened, "Hesta, call him."))] == ["hesta"]


async def test_one_that_is_not_of_the_scene_can_come(server):
    async with scene(server) as opened:
        await opened.join("Nell")
        assert ends(await heard(opened, "Nell, a coffin?")) == [("nell", "Yes.")]
        with pytest.raises(UnknownCharacter, match="maria"):
            await opened.join("maria")
        assert [member.id for member in opened.members] == list(THREE)


@pytest.mark.parametrize(("word", "error"), [("busy", Overloaded), ("boom", InternalError)])
async def test_one_that_fails_stops_nobody(server, word, error):
    server.dialogue.answers = {"hesta": word, "corin": "Beds."}
    async with scene(server, *THREE) as opened:
        events = await heard(opened, "Hesta and Corin, what do you sell?")
        assert [member for member, event in events if isinstance(event, error)] == ["hesta"]
        assert ends(events) == [("corin", "Beds.")]
        first, second = opened.rounds[0].replies
        assert (type(first.error), second.error) == (error, None)
        assert first.error.code.startswith("NPC")
        # It was there: it has heard the line, though its own talk has not.
        assert server.told("hesta")[0].startswith("Ada has just said to Hesta Varrow and Corin Vey: Hesta and")
        assert server.told("hesta")[-1] == "Corin Vey has just said to Ada: Beds."


async def test_what_was_heard_of_a_reply_that_broke_off_was_said(server):
    server.dialogue.answers = {"hesta": "boom"}
    async with scene(server) as opened:
        await heard(opened, "Hesta, good day.")
        assert opened.rounds[0].replies[0].text == "Oh"
        assert server.told("corin")[-1] == "Hesta Varrow has just said to Ada: Oh"


async def test_one_that_cannot_be_told_is_noted_and_the_others_go_on(server):
    async with scene(server, *THREE) as opened:
        await opened.member("corin").own.conversation.close()
        events = await heard(opened, "Hesta, good day.")
        assert ends(events) == [("hesta", "Yes.")]
        assert {(member, error.code) for member, error in opened.hearing.not_told} == {("corin", "NPC303")}
        assert len(server.told("nell")) == 2


async def test_a_chain_that_fails_ends_there(server):
    server.dialogue.answers = {"hesta": "Corin, you?", ("corin", "hesta"): "busy"}
    async with scene(server, max_chain=5) as opened:
        events = await heard(opened, "Hesta, good day.")
        assert [type(event) for member, event in events if member == "corin"] == [Overloaded]
        assert server.told("corin", "hesta")[-1] == "Hesta Varrow has just said to Ada: Corin, you?"


async def test_no_room_for_a_talk_among_them(server):
    with CastServer(max_conversations_per_client=2) as small:
        small.dialogue.answers = {"hesta": "Corin, you?"}
        async with scene(small) as opened:
            events = await heard(opened, "Hesta, good day.")
    assert isinstance(events[-1][1], TooManyConversations)


async def test_one_that_leaves_while_it_speaks_stops_and_the_next_goes_on(server):
    server.dialogue.answers = {"hesta": "endless", "corin": "Beds."}
    async with scene(server, *THREE) as opened:
        events = []
        async for one in opened.say("Hesta and Corin, good day."):
            events.append((one.member, one.event))
            if len(events) == 3:
                await opened.leave("hesta")
        assert [(member, event.finish_reason) for member, event in events if isinstance(event, TurnEnd)] == [
            ("hesta", "cancelled"), ("corin", "stop"),
        ]  # fmt: skip
        assert "Corin Vey has just said to Ada: Beds." not in server.told("hesta")


async def test_one_that_leaves_before_its_turn_has_heard_the_line(server):
    async with scene(server) as opened:
        async for one in opened.say("Hesta and Corin, good day."):
            if isinstance(one.event, TurnEnd) and one.member == "hesta":
                await opened.leave("corin")
        assert server.of("corin").asked == []
        assert "Ada has just said to Hesta Varrow and Corin Vey: Hesta and Corin, good day." in server.told("corin")


async def test_a_round_is_cancelled(server):
    server.dialogue.answers = {"hesta": "endless"}
    async with scene(server) as opened:
        assert not await opened.cancel()
        events = []
        async for one in opened.say("Hesta and Corin, good day."):
            events.append((one.member, one.event))
            if len(events) == 3:
                assert await opened.cancel()
        assert [member for member, event in events if isinstance(event, TurnEnd)] == ["hesta"]
        assert server.of("corin").asked == []


async def test_who_stops_listening_cancels_and_can_go_on(server):
    server.dialogue.answers = {("hesta", "Hesta and Corin, good day."): "endless"}
    async with scene(server) as opened:
        async with aclosing(opened.say("Hesta and Corin, good day.")) as events:
            async for _ in events:
                with pytest.raises(TurnInProgress):
                    await heard(opened, "Hello?")
                break
        await asyncio.to_thread(server.of("hesta").ended.wait, 5)
        assert opened.rounds[0].replies[0].heard.end.finish_reason == "cancelled"
        assert ends(await heard(opened, "Hesta, again.")) == [("hesta", "Yes.")]


async def test_actions_are_run_for_the_player_alone(server):
    server.dialogue.answers = {("hesta", "ada"): "act", ("corin", "ada"): "act"}

    async def run(member, call):
        if member == "corin":
            raise ActionFailed("no beds")
        return {"sold": call.arguments["item"]}

    async with scene(server, on_action=run) as opened:
        await heard(opened, "Hesta and Corin, sell me something.")
        assert [list(server.of(one).actions) for one in TWO] == [["*"], ["*"]]
        assert [one.heard.actions[0].name for one in opened.rounds[0].replies] == ["sell", "sell"]
    async with scene(server) as opened:
        assert list(server.of("hesta").actions) == []


async def test_the_game_tells_everybody(server):
    server.dialogue.answers = {("hesta", "ada"): "Corin, you?"}
    async with scene(server, state={"trust": 5}) as opened:
        await heard(opened, "Hesta, good day.")
        await opened.world_event("The bell rings.")
        await opened.set_state({"trust": 60})
        now = await opened.set_controls({"max_words": 9})
        assert set(now) == set(TWO)
        for one in (server.of("hesta"), server.of("corin"), server.of("corin", "hesta")):
            assert one.heard_events[-1] == ("The bell rings.", None)
            assert one.state == {"trust": 60}
            assert one.controls.max_words == 9
        await opened.join("nell")
        assert server.of("nell").state == {"trust": 60}
        assert server.of("nell").controls.max_words == 9
        with pytest.raises(NpcEngineError, match="trust"):
            await opened.set_state({"trust": "much"})


async def test_long_lines_are_refused_and_long_sentences_cut(server):
    long = "Hesta, " + "la " * 1300
    async with scene(server) as opened:
        for line, error in ((long + "la " * 30, TextTooLong), ("  ", RequestError), ("", RequestError)):
            with pytest.raises(error):
                await heard(opened, line)
        assert opened.rounds == []
        await opened.cancel()
    with CastServer(max_text_chars=4000) as wide:
        async with scene(wide) as opened:
            line = long.ljust(4000, "a")
            assert ends(await heard(opened, line)) == [("hesta", "Yes.")]
            told = wide.told("corin")[0]
            assert (told[:35], told[-1]) == ("Ada has just said to Hesta Varrow: ", "…")
            assert 3900 < len(told) <= 4000
            assert opened.hearing.not_told == []


@pytest.mark.parametrize(
    ("members", "absent", "error", "told"),
    [
        (["hesta"], [], RequestError, "two characters"),
        ([], [], RequestError, "two characters"),
        ([], ["corin"], RequestError, "two characters"),
        (["hesta", "hesta"], [], RequestError, "hesta is named twice"),
        (["hesta", "corin"], ["corin"], RequestError, "corin is named twice"),
        (["hesta", "maria"], [], UnknownCharacter, "maria"),
        (["hesta", "corin"], ["maria"], UnknownCharacter, "maria"),
        (["hesta", "corin", "nell"], [], TooManyConversations, "conversations"),
    ],
)
async def test_what_is_no_scene(members, absent, error, told):
    with CastServer(max_conversations_per_client=2) as small:
        async with AsyncClient(small.address) as client:
            opened = Scene(client, player_id="ada", player_name="Ada")
            with pytest.raises(error, match=told) as caught:
                await opened.begin(members, absent=absent)
            assert caught.value.hint
        assert all(one.closed.is_set() for one in small.dialogue.conversations)


async def test_names_that_are_none(server):
    async with scene(server) as opened:
        with pytest.raises(UnknownCharacter, match="maria"):
            opened.member("maria")
        with pytest.raises(UnknownCharacter):
            await opened.leave("maria")
        with pytest.raises(RequestError, match="is here already"):
            await opened.join("corin")
        await opened.leave("corin")
        with pytest.raises(RequestError, match="is not here"):
            await opened.leave("corin")
        await opened.leave("hesta")
        with pytest.raises(RequestError, match="nobody is here"):
            await heard(opened, "Hello?")


async def test_a_server_that_dies_in_mid_scene_keeps_what_was_heard(server):
    server.dialogue.answers = {"corin": "wait"}
    async with scene(server, *THREE) as opened:

        async def until_it_dies():
            async for one in opened.say("Hesta and Corin and Nell, good day."):
                if one.member == "corin":
                    server.stop()

        with pytest.raises(ConnectionLost):
            await until_it_dies()
        first, *_, last = opened.rounds[0].replies
        assert first.text == "Yes."
        assert isinstance(last.error, ConnectionLost)
        with pytest.raises(ConnectionLost):
            await heard(opened, "Hesta?")
