"""The Python binding's examples, as a reader would run them, against scripted characters."""

import subprocess
import sys

from npc_engine.server.conformance.script import ScriptedDialogue
from tools.bindings_table import BINDINGS, ROOT, conformance_server

EXAMPLES = BINDINGS / "python" / "examples"
LINES = "ada: Steel is dear. Buy now!\nbob: act sword\nada: act shield\neve: busy\n"


def test_the_game_server_serves_its_players_while_it_ticks():
    with conformance_server() as addresses:
        address = addresses.split('"zmq": "')[1].split('"')[0]
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "game_server.py"), address],
            input=LINES,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=True,
        )
    heard = done.stdout.splitlines()
    ticks, gold = heard.pop().split(" ticks, gold ")
    assert int(ticks) > 0
    assert gold in ("{'ada': 40, 'bob': 5}", "{'ada': 16, 'bob': 5}")
    assert [line for line in heard if line.startswith("mara to bob")] == [
        "mara to bob: Refused: bob has only 5 gold",
    ]
    to_ada = [line.removeprefix("mara to ada: ") for line in heard if line.startswith("mara to ada")]
    assert to_ada[:2] == ["Steel is dear.", "Buy now!"]
    assert "eve is not answered: NPC306" in heard


async def test_the_embedded_engine_talks_and_acts(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import embedded

    dialogue = ScriptedDialogue(action_timeout_s=1.0)
    await embedded.play(dialogue, character="mara", lines=("Good day.", "act sword"))
    assert capsys.readouterr().out.splitlines() == [
        "mara: Well met, Ada.",
        "Ada: Good day.",
        "mara: Good day.",
        "Ada: act sword",
        'mara: Result: {"price":12,"sold":"sword"}',
    ]
