"""docs/actions.md: its sheet is loaded, its talk replayed and its declaration read."""

import json
import re
from pathlib import Path

from npc_engine.actions.declare import declared_actions
from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.dialogue.acting import MAX_CALLS, MAX_RESULT_CHARS
from npc_engine.dialogue.choosing import MAX_READ_IN_TURN
from npc_engine.dialogue.events import ActionCall
from npc_engine.dialogue.prompt import MAX_LISTED_ACTIONS, MAX_STABLE_SHARE_WITH_ACTIONS
from npc_engine.models.build import build_encoder
from tests.recital import write_word_bert
from tests.talk import MARA, mara, say, talking

PAGE = (Path(__file__).parents[2] / "docs" / "actions.md").read_text(encoding="utf-8")


def block(kind):
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return found


def turns():
    """The talk as (player line, what follows it)."""
    script = []
    for line in block("talk").splitlines():
        kind, text = line.split(maxsplit=1)
        if kind == "player":
            script.append((text, []))
        else:
            script[-1][1].append((kind, text))
    return script


async def test_the_talk_goes_as_the_page_says(tmp_path, reciter):
    (tmp_path / "encoder").mkdir()
    build_encoder(write_word_bert(tmp_path / "bert", [MARA, PAGE]), tmp_path / "encoder")
    own = MARA[MARA.index("actions:") : MARA.index("controls:")]
    sheet = mara(tmp_path, (own, block("yaml")))
    model = reciter("It is", " so.", call=('"s', ":2"))
    async with talking(sheet, model=model, encoder=tmp_path / "encoder") as dialogue:
        talk = dialogue.open_conversation("mara", player_id="p", actions=["*"])
        for player, expected in turns():
            heard = []
            answers = [(kind, text) for kind, text in expected if kind in ("result", "error")]

            def answer(event, heard=heard, answers=answers):
                if isinstance(event, ActionCall):
                    heard.append(("call", f"{event.name} {json.dumps(event.arguments)}"))
                    kind, text = answers.pop(0)
                    heard.append((kind, text))
                    is_result = kind == "result"
                    talk.action_result(
                        event.call_id, json.loads(text) if is_result else None, None if is_result else text
                    )

            said = (await say(talk, player, on_event=answer)).end.text.removeprefix("It is so.").strip()
            assert heard + ([("says", said)] if said else []) == expected, player


def test_the_declaration_can_be_read():
    (action,) = declared_actions(json.loads(block("json")))
    assert [(one.name, one.required, one.many) for one in action.parameters] == [
        ("thing", True, False),
        ("marks", False, True),
    ]


def test_the_figures_are_the_programs():
    assert MAX_CALLS == 3
    assert "makes three calls at most" in PAGE
    assert f"first {MAX_RESULT_CHARS} characters" in PAGE
    assert (ChoiceWeights().shortlist_size, MAX_READ_IN_TURN, MAX_LISTED_ACTIONS) == (8, 5, 16)
    assert "the five closest" in PAGE
    assert "up to 16 actions" in PAGE
    assert f"{MAX_STABLE_SHARE_WITH_ACTIONS:.0%}".replace("%", " %") in PAGE
