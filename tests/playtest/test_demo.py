import io
from functools import partial

from rich.console import Console

from npc_engine.actions import choose
from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.playtest.demo import PURSE, SCRIPT, play_demo
from npc_engine.playtest.market import PRICES


def test_the_script_plays_to_its_end(serving, hesta, reciter, monkeypatch):
    # Where the action's schema leaves a choice: sell_item, short sword, 1.
    # This model sells whatever it is asked about, so it is asked about clear tasks only.
    monkeypatch.setattr(choose, "ChoiceWeights", partial(ChoiceWeights, floor=0.5))
    model = reciter("Stand", " on my right.", call=('"s', ":1", "1}"))
    printed = io.StringIO()
    with serving(hesta, model=model) as client:
        heard = play_demo(client, console=Console(file=printed, width=200, highlight=False))
    text = printed.getvalue()
    assert [turn.line for turn in heard] == [step.line for step in SCRIPT]
    assert all(turn.end is not None and turn.reply for turn in heard)
    for step in SCRIPT:
        assert f"Ada: {step.line}" in text
        assert not step.event or f"[game] world_event: {step.event}" in text
    assert text.count("first word") == len(SCRIPT)
    calls = [call for turn in heard for call in turn.actions]
    assert [call.name for call in calls] == ["sell_item"]
    item, quantity = calls[0].arguments["item"], calls[0].arguments["quantity"]
    assert (item, quantity) == ("short sword", 1)
    assert heard[-1].actions == calls
    assert f"Ada leaves with {PURSE - PRICES[item]} crowns and 1 short sword" in text
    bridge = next(turn for turn in heard if "mill" in turn.line)
    assert "event:1" in [premise["id"] for premise in bridge.trace["premises"]]
    spell = next(turn for turn in heard if "spell" in turn.line)
    assert (spell.end.source, spell.trace["unknown_topic"]) == ("fallback", "magic and enchantments")
