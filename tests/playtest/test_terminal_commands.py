"""What can be done in a talk besides talking: controls, other answers, keeping it, other players, lost servers."""

import io
import json

import pytest
from rich.console import Console

from npc_engine.client.blocking import Client
from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.errors import ConnectionLost
from npc_engine.playtest.scenarios.loading import load_casts
from npc_engine.playtest.terminal import GameKind, talk
from npc_engine.playtest.terminal.reading import PipedLines
from npc_engine.server.background import BackgroundServer
from tests.talk import CALL_RING, MARA, RING, SETTINGS

PRICE = "What does a sword cost?"


class Typist:
    """Somebody at a terminal: lines, some of which are things that happen before the next one is typed."""

    is_interactive = True

    def __init__(self, *lines):
        self._lines = iter(lines)
        self.asked = []

    def __iter__(self):
        for line in self._lines:
            if callable(line):
                line()
            else:
                yield line

    def ask(self, question):
        self.asked.append(question)
        return next(self._lines, None)


@pytest.fixture
def model(brancher):
    return brancher(["A sword", " costs forty", " crowns."], ["Forty", " it is,", " traveller."], call=CALL_RING)


@pytest.fixture
def client(serving, sheet, model):
    with serving(sheet, model=model) as client:
        yield client


def typed(client, *lines, **options):
    """What a talk prints, with these lines typed."""
    printed = io.StringIO()
    console = Console(file=printed, width=300, highlight=False)
    lines = PipedLines(io.StringIO("".join(f"{line}\n" for line in lines)))
    talk(client, "mara", player="Ada", console=console, **({"lines": lines} | options))
    return printed.getvalue()


def said(printed):
    return [line.removeprefix("Mara Holt: ") for line in printed.splitlines() if line.startswith("Mara Holt: ")][1:]


def test_controls_are_set_listed_and_given_back(client):
    printed = typed(client, "/set", "/set max_words 7", PRICE, "/why", "/reset", "/set")
    before, given, *rest = [line.split() for line in printed.splitlines() if line.startswith("max_words")]
    # Set here, then the value on each of the six routes.
    assert given == ["max_words", *["7"] * 7]
    assert rest[0] == ["max_words", "7", "conversation"]
    assert rest[-1] == before
    assert len(before) == 7
    assert "back to the sheet and the engine: max_words" in printed


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/set role_play 2", "NPC316"),
        ("/set roleplay 0.2", "did you mean 'role_play'"),
        ("/set role_play", "NPC300: /set role_play needs a value"),
        ("/reset rolle_play", "NPC316"),
        ("/undo", "NPC317"),
        ("/undo x", "NPC300"),
        ("/undo 0", "NPC"),
        ("/retry", "NPC317"),
        ("/retry -4", "NPC300"),
        ("/save", "NPC300: /save needs FILE"),
        ("/save .", "NPC171"),
        ("/as", "NPC300: /as needs PLAYER"),
        ("/bad", "NPC300: /bad: there is no reply to keep"),
        ("/sett role_play 1", "did you mean /set?"),
        ("/", "NPC300: unknown command /"),
        ("x" * ((1 << 20) + 1), "NPC206"),
    ],
)
def test_a_wrong_command_is_explained_and_the_talk_goes_on(client, command, told):
    printed = typed(client, command, PRICE)
    assert told in printed
    assert "hint: " in printed
    assert said(printed)
    assert "first word" in printed


def test_a_line_is_heard_again_by_a_seed(client):
    printed = typed(client, PRICE, *["/retry 7"] * 2, "/undo", "/undo")
    answers = said(printed)
    assert len(answers) == 3
    assert answers[1] == answers[2]
    # However often it is heard, it is one turn.
    assert "taken back: 1; 0 left" in printed
    assert "NPC317: 0 turns were said" in printed


def test_the_first_seed_repeats_a_whole_talk(client):
    lines = (PRICE, "And a dagger?", "And a spear?")
    assert said(typed(client, *lines, seed=3)) == said(typed(client, *lines, seed=3))


def test_a_talk_is_saved_and_nothing_is_written_over(client, tmp_path):
    as_text, as_json = tmp_path / "talk.txt", tmp_path / "talk.json"
    printed = typed(client, "/event The bell rang.", PRICE, f"/save {as_text}", f"/save {as_json}", f"/save {as_text}")
    text = as_text.read_text(encoding="utf-8").splitlines()
    assert text[0] == "Mara Holt: Come in."
    assert text[2:4] == ["[game] event The bell rang.", f"Ada: {PRICE}"]
    (turn,) = json.loads(as_json.read_text(encoding="utf-8"))["turns"]
    assert turn["events"] == ["The bell rang."]
    assert turn["trace"]["stages"]["commit"]
    assert f"NPC171: cannot write {as_text}: File exists" in printed


def test_a_bad_talk_becomes_a_scenario_beside_the_sheet(client, tmp_path):
    (tmp_path / "mara.yaml").write_text(MARA, encoding="utf-8")
    path = tmp_path / "scenarios" / "mara.yaml"
    printed = typed(
        client, "/state trust=5", "Hello.", "/state trust=60", "/event The bell rang.", PRICE, "/bad far too dear",
        "/bad far too dear", "/undo", "/bad", scenarios=path,
    )  # fmt: skip
    assert "kept as the scenario 'far too dear'" in printed
    (cast,) = load_casts([tmp_path / "mara.yaml"])
    first, second, third = cast.scenarios
    assert (first.name, second.name, third.name) == ("far too dear", "far too dear (2)", "Hello.")
    assert first.state.trust == 5
    assert [step.say for step in first.lines] == ["Hello.", PRICE]
    assert first.lines[1].state.trust == 60
    assert first.lines[1].event == "The bell rang."
    assert [step.say for step in third.lines] == ["Hello."]


def test_a_talk_that_no_scenario_can_hold_is_told(client, tmp_path):
    printed = typed(client, "long " * 100, "/bad", scenarios=tmp_path / "mara.yaml")
    assert "NPC300: /bad: this talk is no scenario" in printed
    assert not (tmp_path / "mara.yaml").exists()


def test_another_player_has_a_talk_of_their_own(client):
    printed = typed(client, "/state trust=60", PRICE, "/as Bo", "/state", "/undo", "Where is the hidden treasure?")
    assert "you are Bo" in printed
    assert "told so far: {'trust': 60}" in printed.split("you are Bo")[1]
    assert "NPC317" in printed
    assert "treasure" in printed.split("you are Bo")[1]
    assert client.health().engine["conversations"] == 0


def test_an_action_is_answered_by_hand(client):
    lines = Typist(RING, "tone", "tone=low loud=true", "/why", RING, "no the rope broke", RING)
    printed = typed(client, lines=lines, game=GameKind.HAND)
    assert "-> {'tone': 'low', 'loud': True}" in printed
    assert "refused: the rope broke" in printed
    assert "refused: nobody answers for the game" in printed
    assert len(lines.asked) == 4


def test_without_a_game_no_action_is_offered(client):
    printed = typed(client, RING, "/actions", game=GameKind.NONE)
    assert "is called" not in printed
    assert "the character has no actions" in printed


@pytest.fixture
def mortal(sheet, model, word_encoder):
    """A server that can be stopped, and started again at its address."""

    class Mortal:
        address = "tcp://127.0.0.1:*"

        def start(self):
            config = EngineConfig(**SETTINGS, address=self.address)
            dialogue = build_dialogue((sheet,), model_folder=model, encoder_folder=word_encoder, config=config)
            self.server = BackgroundServer(dialogue, config=config)
            self.server.__enter__()
            self.address = self.server.address

        def stop(self):
            self.server.__exit__(None, None, None)

    server = Mortal()
    server.start()
    yield server
    server.stop()


def test_a_server_that_is_gone_loses_nothing_that_was_said(mortal, tmp_path):
    path = tmp_path / "talk.txt"

    def restart():
        mortal.start()

    lines = Typist(
        "/set max_words 9", PRICE, mortal.stop, "Are you there?", "/why", restart, "And now?", f"/save {path}", "/set"
    )
    with Client(mortal.address, timeout_s=2.0) as client:
        printed = typed(client, lines=lines)
    assert "NPC313" in printed
    assert "price-sword" in printed.split("NPC313")[1]
    assert "what was said before is forgotten" in printed
    kept = path.read_text(encoding="utf-8")
    assert PRICE in kept
    assert "And now?" in kept
    listed = next(line for line in reversed(printed.splitlines()) if line.startswith("max_words"))
    assert listed.split()[1] == "9"


def test_a_pipe_ends_with_its_server(mortal):
    with Client(mortal.address, timeout_s=2.0) as client:
        lines = Typist(PRICE, mortal.stop, "Are you there?")
        lines.is_interactive = False
        with pytest.raises(ConnectionLost):
            typed(client, lines=lines)
    mortal.start()
