"""A talk with several in the terminal: through a pipe, with somebody who types, with a server that dies."""

import io
import json
import signal
import threading

import pytest
from rich.console import Console

from npc_engine.client.blocking import Client
from npc_engine.errors import ConnectionLost, RequestError, UnknownCharacter
from npc_engine.playtest.terminal import GameKind, talk
from npc_engine.playtest.terminal.desk import help_text
from npc_engine.playtest.terminal.reading import PipedLines
from npc_engine.playtest.terminal.scene_commands import SCENE_COMMANDS
from tests.playtest.scene.cast import CastServer
from tests.playtest.test_terminal_commands import Typist

PREMISES = [{"id": "price-sword", "text": "I charge forty.", "score": 1.0, "kind": "fact"}]


@pytest.fixture
def server():
    with CastServer() as running:
        running.dialogue.premises = PREMISES
        running.dialogue.answers = {"hesta": "Forty crowns.", ("corin", "ada"): "Hesta, is it forty?"}
        yield running


def typed(server, *lines, others=("corin",), **options):
    """What a talk with Hesta and these prints."""
    printed = io.StringIO()
    console = Console(file=printed, width=300, highlight=False)
    lines = PipedLines(io.StringIO("".join(f"{line}\n" for line in lines)))
    with Client(server.address) as client:
        talk(client, "hesta", player="ada", others=others, console=console, **({"lines": lines} | options))
    return printed.getvalue()


def test_each_reply_stands_under_its_speakers_name(server):
    printed = typed(server, "What is a sword?", "Corin, is that dear?", "/quit", "Hesta?").splitlines()
    assert [line for line in printed if not line.startswith("  ")] == [
        "Hesta Varrow: Hesta here.",
        "Corin Vey: Corin here.",
        # What the server streams ends in a space.
        "Hesta Varrow: Forty crowns. ",
        "Corin Vey: Hesta, is it forty? ",
        "Hesta Varrow (to Corin Vey): Forty crowns. ",
    ]
    assert printed[3].endswith("facts: price-sword")
    assert all(one.closed.is_set() for one in server.dialogue.conversations)


def test_who_is_here_and_heard_what(server):
    printed = typed(
        server, "/leave Corin", "Hesta, a sword?", "/who", "/join corin", "/join nell", "/who", "Corin, hm?", "/who",
    )  # fmt: skip
    assert "Corin Vey has gone and hears nothing until /join corin" in printed
    first, second, third = [part.split("heard last")[1].splitlines()[1:4] for part in printed.split("who ")[1:]]
    assert "away" in first[1]
    assert first[1].rstrip().endswith("Corin Vey has just said to ada: Corin here.")
    assert first[0].rstrip().endswith("Hesta Varrow has just said to ada: Forty crowns.")
    assert "here" in second[1]
    assert "Nell Harker: Nell here." in printed
    assert "Corin Vey: Corin here." not in printed.split("has gone")[1]
    assert third[2].rstrip().endswith("Hesta Varrow has just said to Corin Vey: Forty crowns.")


def test_why_is_of_the_last_speaker_or_of_who_is_named(server):
    printed = typed(server, "/why", "Hesta and Corin, hm?", "/why", "/why corin", "/why maria", "/why nell")
    assert "nothing has been said yet" in printed
    assert printed.count("I charge forty.") == 2
    assert printed.count("NPC301: nobody here is called") == 2
    assert "hint: there are: Hesta Varrow, Corin Vey" in printed


def test_who_is_called_and_away_is_told(server):
    printed = typed(server, "/leave corin", "Corin, are you there?")
    assert "Corin Vey is not here; /join corin" in printed
    assert "Hesta Varrow: Forty crowns." in printed


def test_the_game_plays_its_part(server):
    server.dialogue.answers = {"hesta": "act"}
    printed = typed(
        server, "/event The bell rang.", "/state trust=60", "/set max_words 9", "Hesta, a sword?", "/set", "/reset",
        "/actions", "/state",
    )  # fmt: skip
    assert "the character knows" in printed
    assert [one.heard_events[-1][0] for one in server.dialogue.conversations if one.character.id == "hesta"]
    for one in ("hesta", "corin"):
        assert "The bell rang." in server.told(one)
        assert server.of(one).state == {"trust": 60}
        assert server.of(one).controls.max_words is None
    assert "[game] sell(item=sword, price=12) is called" in printed
    assert "[game] -> {'done': True}" in printed
    assert "told so far: {'trust': 60}" in printed


def test_the_writer_answers_by_hand_or_nothing_is_offered(server):
    server.dialogue.answers = {"hesta": "act"}
    lines = Typist("Hesta, a sword?", "price=40", "Hesta, a sword?", "no we are closed")
    printed = typed(server, lines=lines, game=GameKind.HAND)
    assert "-> {'price': 40}" in printed
    assert "refused: we are closed" in printed
    typed(server, "/actions", game=GameKind.NONE)
    assert list(server.of("hesta").actions) == []


def test_a_scene_is_saved_and_nothing_is_written_over(server, tmp_path):
    as_text, as_json = tmp_path / "talk.txt", tmp_path / "talk.json"
    printed = typed(server, "Corin, hm?", f"/save {as_text}", f"/save {as_json}", f"/save {as_text}")
    assert as_text.read_text(encoding="utf-8").splitlines()[2:] == [
        "ada to Corin Vey: Corin, hm?",
        "Corin Vey to ada: Hesta, is it forty?",
        "Hesta Varrow to Corin Vey: Forty crowns.",
    ]
    data = json.loads(as_json.read_text(encoding="utf-8"))
    assert [(one["member"], one["to"], one["error"]) for one in data["rounds"][0]["replies"]] == [
        ("corin", None, None), ("hesta", "corin", None),
    ]  # fmt: skip
    assert data["said"][-1]["heard_by"] == ["hesta", "corin"]
    assert "NPC171" in printed


def test_another_player_has_a_scene_of_their_own(server):
    printed = typed(server, "Hesta, hm?", "/as Bo", "/why", "Hesta, hm?")
    assert "you are Bo" in printed
    assert "nothing has been said yet" in printed
    assert server.of("hesta", "Bo").asked
    assert printed.count("Hesta Varrow: Hesta here.") == 2


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/help", help_text(SCENE_COMMANDS)),
        ("/undo", "NPC300: unknown command /undo"),
        ("/leave", "NPC300: /leave needs NAME"),
        ("/leave maria", "NPC301: nobody here is called 'maria'"),
        ("/leave [/b]", "NPC301"),
        ("/join hesta", "NPC300: Hesta Varrow is here already"),
        ("/join maria", "NPC301: no character 'maria'"),
        ("/set role_play 2", "NPC316"),
        ("/state trust=much", "NPC309"),
        ("Hesta, " + "x" * 4000, "NPC305"),
        ("/event " + "x" * 4000, "NPC305"),
        ("/leave", "NPC300"),
    ],
)
def test_a_wrong_line_is_explained_and_the_talk_goes_on(server, command, told):
    printed = typed(server, command, "Hesta, a sword?")
    assert told in printed
    assert "Hesta Varrow: Forty crowns." in printed


def test_one_that_fails_is_told_and_the_next_answers(server):
    server.dialogue.answers = {"hesta": "busy", "corin": "Beds."}
    printed = typed(server, "Both of you, good day.", "/leave hesta", "/leave corin", "Anyone?", "/set")
    assert "Hesta Varrow: \nNPC306: no room" in printed
    assert "Corin Vey: Beds." in printed
    assert "NPC300: nobody is here" in printed


@pytest.mark.parametrize(
    ("others", "error"), [(["maria"], UnknownCharacter), (["hesta"], RequestError), (["corin", "corin"], RequestError)]
)
def test_who_cannot_be_there(server, others, error):
    with pytest.raises(error) as caught:
        typed(server, "Hello.", others=others)
    assert caught.value.hint
    assert all(one.closed.is_set() for one in server.dialogue.conversations)


def test_ctrl_c_stops_who_speaks_and_who_would(server):
    server.dialogue.answers = {("hesta", "Hesta and Corin, hm?"): "endless"}

    def interrupt():
        while not server.dialogue.conversations or not server.of("hesta").speaking.wait(0.01):
            pass
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    printed = typed(server, "Hesta and Corin, hm?", "Corin, are you there?")
    assert "(cancelled)" in printed
    assert server.of("corin").asked == [("Corin, are you there?", None)]


def test_a_server_that_is_gone_loses_nothing_that_was_said(server, tmp_path):
    path = tmp_path / "talk.txt"

    class Mortal:
        address = server.address

        def start(self):
            self.again = CastServer(address=self.address)
            self.again.__enter__()

    mortal = Mortal()
    lines = Typist(
        "/set max_words 9", "/leave corin", "Hesta, one?", lambda: (server.stop(), server.join()), "Hesta, two?",
        "/why", mortal.start, "Hesta, three?", "/who", f"/save {path}",
    )  # fmt: skip
    printed = typed(server, lines=lines)
    try:
        assert "NPC313" in printed
        assert "I charge forty." in printed.split("NPC313")[1]
        assert "what was said before is forgotten" in printed
        assert "away" in printed
        kept = path.read_text(encoding="utf-8")
        assert "ada to Hesta Varrow: Hesta, one?" in kept
        assert "ada to Hesta Varrow: Hesta, three?" in kept
        assert mortal.again.of("hesta").controls.max_words == 9
    finally:
        mortal.again.__exit__()


def test_a_pipe_ends_with_its_server(server):
    lines = Typist("Hesta, one?", lambda: (server.stop(), server.join()), "Hesta, two?")
    lines.is_interactive = False
    with pytest.raises(ConnectionLost):
        typed(server, lines=lines)
