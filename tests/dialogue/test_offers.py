"""Actions that a game declares when it opens a conversation, beside the sheet's."""

import pytest

from npc_engine.dialogue.offers import Offer
from npc_engine.errors import InvalidAction
from tests.talk import CALL_RING, RING, answering, mara, say, talking


async def test_a_declared_action_can_be_called_at_once(sheet, reciter, word_encoder):
    ring = {
        "name": "ring_gong",
        "description": "rings the brass gong",
        "examples": ["Ring the brass gong now"],
        "cost": 2.5,
    }
    model = reciter("Well", " met.", call=CALL_RING)
    async with talking(sheet, model=model, encoder=word_encoder) as dialogue:
        conversation = dialogue.open_conversation("mara", player_id="p", declare_actions=[ring])
        heard = await say(conversation, "Ring the brass gong now.", on_event=answering(conversation))
        assert [(call.name, call.cost) for call in heard.calls] == [("ring_gong", 2.5)]
        other = dialogue.open_conversation("mara", player_id="q")
        assert other.actions == ()
        with pytest.raises(InvalidAction, match="ring_bell"):
            dialogue.open_conversation(
                "mara", player_id="p", actions=["*"], declare_actions=[ring | {"name": "ring_bell"}]
            )
        # Of one name, but the sheet's is not offered.
        alone = dialogue.open_conversation("mara", player_id="p", declare_actions=[ring | {"name": "ring_bell"}])
        heard = await say(alone, RING, on_event=answering(alone))
        assert [(call.name, call.cost) for call in heard.calls] == [("ring_bell", 2.5)]


def test_a_changed_sheet_leaves_what_the_game_declared(sheet, tmp_path):
    gong = {"name": "ring_gong", "description": "rings the brass gong"}
    offer = Offer(["ring_bell", "sell_sword"], [gong])
    assert [action.name for action in offer.opened(sheet)] == ["ring_bell", "sell_sword", "ring_gong"]
    # What the game runs under that name is its own, whatever the sheet has come to call so.
    changed = mara(tmp_path, ("name: sell_sword", "name: ring_gong"))
    left = Offer(["ring_bell", "ring_gong"], [gong]).renewed(changed)
    assert [action.description for action in left] == ["rings the bell", "rings the brass gong"]
    assert [action.name for action in offer.renewed(changed)] == ["ring_bell", "ring_gong"]
