import pytest

from npc_engine.client.turn import ActionFailed
from npc_engine.playtest.market import PRICES, Market
from npc_engine.protocol.messages import ActionCall
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet


def call(name, **arguments):
    return ActionCall(request_id=1, conversation_id="c", call_id="x", name=name, arguments=arguments)


def test_a_sale_moves_money_and_goods():
    market = Market(purse=20, stock=2)
    assert market.run(call("sell_item", item="dagger", quantity=2)) == {
        "sold": "2 dagger",
        "price_paid": "16 crowns",
    }
    assert (market.purse, market.satchel, market.stock["dagger"]) == (4, {"dagger": 2}, 0)
    assert market.run(call("look_up_price", item="dagger")) == {"item": "dagger", "price": "8 crowns", "in_stock": 0}
    assert market.run(call("buy_item", item="dagger"))["paid"] == "2 crowns"
    assert (market.purse, market.satchel, market.stock["dagger"]) == (6, {"dagger": 1}, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        call("sell_item", item="long sword", quantity=1),
        call("sell_item", item="dagger", quantity=4),
        call("sell_item", item="dagger", quantity=0),
        call("sell_item", item="dagger", quantity="two"),
        call("sell_item", item="moon", quantity=1),
        call("sell_item"),
        call("buy_item", item="dagger"),
        call("rent_room", room="loft"),
    ],
    ids=lambda wrong: f"{wrong.name} {wrong.arguments}",
)
def test_what_cannot_be_done_changes_nothing(wrong):
    market = Market(purse=50)
    before = (market.purse, dict(market.satchel), dict(market.stock))
    with pytest.raises(ActionFailed) as caught:
        market.run(wrong)
    assert caught.value.reason
    assert (market.purse, market.satchel, market.stock) == before


def test_the_market_deals_in_what_the_blacksmith_offers():
    sheet = load_sheet(shipped_sheets_dir() / "hesta.yaml")
    for action in sheet.actions:
        item = next(parameter for parameter in action.parameters if parameter.name == "item")
        assert set(item.choices) == set(PRICES)
    facts = {fact.id: fact.text for fact in sheet.facts}
    for item, price in PRICES.items():
        (text,) = [text for text in facts.values() if f"I charge {price} crown" in text and item in text]
        assert text
