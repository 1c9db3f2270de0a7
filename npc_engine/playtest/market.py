"""A little game for demonstrations: a purse, a satchel and a stock, run by the actions of a merchant's sheet.

It shows what a game does with an action call: check it against its own state, carry it out or refuse it, and answer
with what really happened.
"""

from __future__ import annotations

from typing import Any

from npc_engine.client.turn import ActionFailed
from npc_engine.protocol.messages import ActionCall

PRICES = {
    "short sword": 40,
    "long sword": 65,
    "dagger": 8,
    "hand axe": 12,
    "spear": 15,
    "war hammer": 30,
    "round shield": 18,
    "arrowheads": 1,
}


class Market:
    """The game's side of a talk with the blacksmith.

    Args:
        purse: Crowns the player has.
        stock: Pieces of each item in the shop.
    """

    def __init__(self, *, purse: int, stock: int = 3) -> None:
        self.purse = purse
        self.satchel: dict[str, int] = {}
        self.stock = dict.fromkeys(PRICES, stock)

    @property
    def carried(self) -> str:
        """The satchel in words."""
        return ", ".join(f"{count} {item}" for item, count in self.satchel.items() if count) or "nothing"

    def run(self, call: ActionCall) -> dict[str, Any]:
        """Carry out an action call.

        Raises:
            ActionFailed: It cannot be done; nothing has changed.
        """
        handlers = {"look_up_price": self._price, "sell_item": self._sell, "buy_item": self._buy}
        if call.name not in handlers:
            raise ActionFailed(f"this game has no action {call.name}")
        item = str(call.arguments.get("item", ""))
        if item not in PRICES:
            raise ActionFailed(f"the shop does not deal in {item or 'that'}")
        quantity = call.arguments.get("quantity", 1)
        if not isinstance(quantity, int) or quantity < 1:
            raise ActionFailed("that is no number of things")
        return handlers[call.name](item, quantity)

    def _price(self, item: str, quantity: int) -> dict[str, Any]:
        return {"item": item, "price": f"{PRICES[item]} crowns", "in_stock": self.stock[item]}

    def _sell(self, item: str, quantity: int) -> dict[str, Any]:
        cost = PRICES[item] * quantity
        if self.stock[item] < quantity:
            raise ActionFailed(f"only {self.stock[item]} of {item} left")
        if self.purse < cost:
            raise ActionFailed(f"the player has {self.purse} crowns, the price is {cost} crowns")
        self.purse -= cost
        self.stock[item] -= quantity
        self.satchel[item] = self.satchel.get(item, 0) + quantity
        return {"sold": f"{quantity} {item}", "price_paid": f"{cost} crowns"}

    def _buy(self, item: str, quantity: int) -> dict[str, Any]:
        if self.satchel.get(item, 0) < 1:
            raise ActionFailed(f"the player has no {item} to sell")
        self.satchel[item] -= 1
        self.purse += PRICES[item] // 3
        self.stock[item] += 1
        return {"bought": item, "paid": f"{PRICES[item] // 3} crowns"}
