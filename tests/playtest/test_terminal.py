"""A talk through a pipe: what goes in line by line, what is printed."""

import io

import pytest
from rich.console import Console

from npc_engine.errors import ConnectionLost, RequestError, UnknownCharacter
from npc_engine.playtest.terminal import GameKind, parse_state, talk
from npc_engine.playtest.terminal.commands import COMMANDS, help_text
from tests.talk import CALL_RING, RING


@pytest.fixture
def typed(monkeypatch):
    """Talk to Mara through a pipe with these lines; returns what was printed."""

    def type_in(client, *lines, character="mara", **options):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        printed = io.StringIO()
        talk(client, character, player="Ada", console=Console(file=printed, width=300, highlight=False), **options)
        return printed.getvalue()

    return type_in


@pytest.fixture
def client(serving, sheet, reciter):
    with serving(sheet, model=reciter("Forty", " crowns.", call=CALL_RING)) as client:
        yield client


def test_a_talk_prints_the_greeting_the_reply_and_what_it_used(client, typed):
    printed = typed(client, "", "What does a sword cost?").splitlines()
    assert printed[0] == "Mara Holt: Come in."
    assert printed[1] == "Mara Holt: Forty crowns."
    assert "first word" in printed[2]
    assert "tokens/s" in printed[2]
    assert printed[2].endswith("facts: price-sword")
    assert len(printed) == 3


def test_why_shows_every_stage_and_premise(client, typed):
    printed = typed(client, "/why", "What does a sword cost?", "/why")
    assert "nothing has been said yet" in printed
    for part in ("admit", "ground", "judge", "commit", "A sword costs forty crowns.", "latency:", "tokens:"):
        assert part in printed


def test_why_of_somebody_who_is_not_there(client, typed):
    printed = typed(client, "What does a sword cost?", "/why Mara", "/why tobin", "/who")
    assert printed.count("A sword costs forty crowns.") == 1
    assert "NPC300: tobin is not here" in printed
    assert "NPC300: unknown command /who" in printed


@pytest.mark.parametrize("text", ["The bell [/b] broke [/].", "The bell [red]rang[/red].", "The bell rang \\"])
def test_an_event_is_told_and_shown_as_it_is(client, typed, text):
    printed = typed(client, f"/event {text}", "Did the bell ring?", "/why", game=GameKind.NONE)
    assert "the character knows" in printed
    assert "facts: event:1" in printed
    assert text in printed


def test_the_state_opens_what_it_hides(client, typed):
    asked = "Where does the hidden treasure lie?"
    printed = typed(client, asked, "/state trust=60 flags=war,rain", asked)
    first, second = printed.split("the state has changed")
    assert "treasure" not in first.split("facts:")[1]
    assert "facts: treasure" in second


def test_an_action_that_is_no_trade_is_done(client, typed):
    printed = typed(client, RING, "/actions")
    assert "[game] ring_bell() is called" in printed
    assert "[game] -> {'done': True}" in printed
    assert "purse 100 crowns, satchel: nothing" in printed


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/help", help_text(COMMANDS)),
        ("/dance", "NPC300: unknown command /dance"),
        ("/event", "NPC300: /event needs TEXT"),
        ("/state", "told so far: nothing"),
        ("/state trust", "NPC300"),
        ("/state trust=101", "NPC309"),
        ("/state place='the", "NPC300"),
        ("/event " + "x" * 2001, "NPC305"),
        ("x" * 2001, "NPC305"),
    ],
)
def test_a_wrong_line_is_explained_and_the_talk_goes_on(client, typed, command, told):
    printed = typed(client, command, "What does a sword cost?")
    assert told in printed
    assert "Mara Holt: Forty crowns." in printed


@pytest.mark.parametrize("word", ["/quit", "/exit"])
def test_quit_leaves(client, typed, word):
    assert "crowns" not in typed(client, word, "What does a sword cost?")
    assert client.health().engine["conversations"] == 0


def test_nobody_of_that_name(client, typed):
    with pytest.raises(UnknownCharacter):
        typed(client, "Hello.", character="nobody")


def test_a_server_that_is_gone_ends_the_talk(client, monkeypatch):
    class Typist(io.StringIO):
        def readline(self, size=-1):
            client.close()
            return super().readline(size)

    monkeypatch.setattr("sys.stdin", Typist("Hello.\nHello?\n"))
    with pytest.raises(ConnectionLost):
        talk(client, "mara", player="Ada", console=Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("trust=60 place=smithy hour=9", {"trust": 60, "place": "smithy", "hour": 9}),
        ("flags=rain,fair factions=guild", {"flags": ["rain", "fair"], "factions": ["guild"]}),
        ("flags= quests=", {"flags": [], "quests": {}}),
        ("quests=siege:2,bell:0", {"quests": {"siege": 2, "bell": 0}}),
        ("place='old mill'", {"place": "old mill"}),
        ("trust=-5", {"trust": -5}),
        ("trust=--5 hour=\u00b2", {"trust": "--5", "hour": "\u00b2"}),
        ("place=a=b", {"place": "a=b"}),
        ("quests=siege", {"quests": {"siege": ""}}),
    ],
)
def test_state_changes(text, changes):
    assert parse_state(text) == changes


@pytest.mark.parametrize("text", ["trust", "trust=1 and", "place='x"])
def test_what_is_no_state(text):
    with pytest.raises(RequestError) as caught:
        parse_state(text)
    assert caught.value.hint
