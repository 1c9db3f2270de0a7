"""`npc-engine playtest` as a designer uses it."""

import json

import pytest

from tests.talk import MARA

SCENARIOS = """\
schema: npc-engine/scenarios@1
character: mara
seeds: [1, 2]
scenarios:
  - name: the price
    lines: [What does a sword cost?]
    says: [[forty]]
  - name: the home
    lines: [Where do you live?]
    says: [[mill]]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mara.yaml").write_text(MARA, encoding="utf-8")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mara.yaml").write_text(SCENARIOS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_scenarios_are_played_told_and_kept(command, stubs, folder):
    code, printed, told = command("playtest", "run", "mara.yaml", "--out", "out")
    assert code == 1
    assert "1 of 2 came out as expected" in printed
    assert "wrong  mara/the home" in printed
    assert "the reply has none of mill" in printed
    assert "4 turns" in told
    assert {path.name for path in (folder / "out").iterdir()} == {
        *("results.jsonl", "report.html", "report.json", "junit.xml"),
    }
    data = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert (data["passed"], data["of"], data["talks"]) == (1, 2, 4)
    code, printed, _ = command("playtest", "run", "mara.yaml", "--out", "out", "--only", "the price")
    assert code == 0
    assert "1 of 1 came out as expected" in printed

    code, printed, _ = command("playtest", "compare", "out", "out/previous.jsonl", "--out", "compared")
    assert code == 0
    assert "No difference found" in printed
    assert (folder / "compared" / "comparison.html").is_file()

    code, printed, _ = command("playtest", "report", "out", "--out", "again")
    assert code == 0
    assert (folder / "again" / "report.html").is_file()


def test_players_and_attacks(command, stubs, folder):
    code, printed, _ = command("playtest", "players", "mara.yaml", "--kind", "hostile", "--turns", "3", "--out", "p")
    assert code == 0
    assert "in character" in printed
    code, _, told = command(
        "playtest", "redteam", "mara.yaml", "--family", "out_of_world", "--attempts", "2", "--out", "r", "--save"
    )
    assert code == 1
    assert "scenarios written to scenarios" in told
    text = (folder / "scenarios" / "mara.yaml").read_text(encoding="utf-8")
    assert "out_of_world:" in text


def test_a_player_that_the_model_plays(command, stubs, folder):
    tobin = MARA.replace("id: mara", "id: tobin").replace("Mara Holt", "Tobin Reed")
    (folder / "players").mkdir()
    (folder / "players" / "tobin.yaml").write_text(tobin, encoding="utf-8")
    for player in ("players/tobin.yaml", "traveller"):
        options = ("--player-sheet", player, "--turns", "3", "--out", "p", "--fresh")
        code, printed, told = command("playtest", "players", "mara.yaml", *options)
        assert code == 0
        assert "3 turns" in told
        assert "in character" in printed
    records = (folder / "p" / "results.jsonl").read_text(encoding="utf-8").splitlines()[1:-1]
    (record,) = map(json.loads, records)
    assert record["talk"] == "mara/player traveller"
    assert [turn["line"] for turn in record["turns"]] == ["That is forty crowns. Good iron never lies."] * 3


QUESTIONS = """\
schema: npc-engine/questions@1
character: mara
questions:
  - {question: What does a sword cost?, fact: price-sword, answer: [[forty]]}
"""


def test_scenes_of_two(command, stubs, folder):
    tobin = MARA.replace("id: mara", "id: tobin").replace("Mara Holt", "Tobin Reed").replace("forty", "ninety")
    (folder / "tobin.yaml").write_text(tobin, encoding="utf-8")
    (folder / "questions").mkdir()
    (folder / "questions" / "mara.yaml").write_text(QUESTIONS, encoding="utf-8")
    code, printed, told = command("playtest", "scenes", "mara.yaml", "tobin.yaml", "--seeds", "1,2", "--out", "out")
    assert code == 0
    assert "8 turns" in told
    # Both say what their model says: forty crowns.
    assert "conformity (less is better)" in printed
    data = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert data["scores"]["conformity"]["value"] == 1
    assert data["scores"]["conformity"]["cases"] == data["scores"]["impersonation"]["cases"] == 2
    assert list(data["characters"]) == ["tobin"]
    assert "tobin/with mara: price-sword" in (folder / "out" / "report.html").read_text(encoding="utf-8")
    code, _, told = command("playtest", "report", "out", "--out", "again")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("run", "nowhere.yaml"), 1, "NPC101"),
        (("run", "mara.yaml", "--only", "nothing"), 2, "no talk is called nothing"),
        (("run", "mara.yaml", "--seeds", "one"), 2, "whole numbers"),
        (("players", "mara.yaml", "--kind", "angry"), 2, "no kind of player is called 'angry'"),
        (("players", "mara.yaml", "--player-sheet", "mara.yaml"), 2, "mara cannot talk to itself"),
        (("players", "mara.yaml", "--player-sheet", "nowhere.yaml"), 1, "NPC101"),
        (("players", "mara.yaml", "--player-sheet", "scenarios"), 2, "one sheet"),
        (("redteam", "mara.yaml", "--family", "tickling"), 2, "no family of attacks is called 'tickling'"),
        (("scenes", "mara.yaml"), 2, "a scene needs two characters"),
        (("scenes", "mara.yaml", "mara.yaml"), 2, "a scene needs two characters"),
        (("scenes", "mara.yaml", "--scenes", "0"), 2, "--scenes"),
        (("report", "mara.yaml"), 1, "NPC170"),
        (("report", "."), 1, "NPC170"),
        (("compare", "guard", "guard"), 1, "NPC170"),
        (("compare", "guard=off,", "guard=judge"), 2, "is not name=value"),
        (("run", "mara.yaml", "--endpoint", "nonsense", "--out", "o"), 1, "NPC313"),
        (("run", "mara.yaml", "--out", "mara.yaml"), 1, "NPC171"),
    ],
)
def test_wrong_commands_say_what_to_do(command, stubs, folder, arguments, code, problem):
    ended, _, told = command("playtest", *arguments)
    assert ended == code
    assert problem in " ".join(told.split())
    assert "Traceback" not in told
