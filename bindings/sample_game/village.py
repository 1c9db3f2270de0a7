"""The rules of the village: money, goods, rooms, quests, time, trust. No input, no output, no engine.

Money is counted in pennies; 20 are a crown. Every change of the world happens in a method of `Village`, and what a
character asks for is refused with a reason rather than half done.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CROWN = 20
MAX_TRUST = 100
FIRST_HOUR = 9
HOURS_A_DAY = 24
MEMBERSHIP_FEE = 5 * CROWN
GUILD_SHARE = 10  # the guild keeps a tenth of a reward, and its members pay a tenth less at the smithy
USED_SHARE = 3  # the smith pays a third for used weapons

# Who can be talked to, by the place where they are.
AT_HOME = {"smithy": "hesta", "inn": "corin", "guild": "ambrose"}
PLACES = ("square", *AT_HOME, "mill", "stair")

WEAPONS = {
    "short sword": 40 * CROWN,
    "long sword": 65 * CROWN,
    "dagger": 8 * CROWN,
    "hand axe": 12 * CROWN,
    "spear": 15 * CROWN,
    "war hammer": 30 * CROWN,
    "round shield": 18 * CROWN,
    "arrowheads": 1 * CROWN,
}
MENU = {"ale": 1, "wine": 6, "stew": 2, "eel pie": 3, "bath": 3}
BEDS = {"common bed": 4, "private room": 12}
MEMBERS_ROOM = 9
STABLE = 2

RUMOURS = (
    "A carter says that the mill pond is black with lampreys.",
    "A drover saw fires at the old toll tower on the Grey Stair.",
)
# What happens at an hour of the first day.
TIMETABLE = {
    14: "It has begun to rain in Kettlewick.",
    18: "The desk of the Wayfarers' Guild is closed for today.",
    22: "The town gates are closed for the night.",
}


class Refused(Exception):
    """What was asked for does not happen; nothing has changed.

    Attributes:
        reason: Why, in words that a character may use.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Quest:
    """A notice on the guild's board.

    Attributes:
        reward: Pennies, before the guild's share.
        place: Where it is done; empty for notices that other people have taken.
        tools: Any one of these is needed.
        news: What everybody hears when it is done.
        friend: Who trusts the player more for it, besides the guild's receptionist.
    """

    reward: int
    place: str = ""
    tools: tuple[str, ...] = ()
    news: str = ""
    friend: str = ""


QUESTS = {
    "lampreys": Quest(12 * CROWN, "mill", ("spear",), "The mill pond is free of lampreys.", "corin"),
    "stolen iron": Quest(
        18 * CROWN, "stair", ("short sword", "long sword"), "The smith's stolen iron has been brought back.", "hesta"
    ),
    "salt caravan": Quest(50 * CROWN),
    "missing shepherd": Quest(20 * CROWN),
    "quarry survey": Quest(30 * CROWN),
    "temple letter": Quest(9 * CROWN),
}
TAKEN, DONE, PAID = 1, 2, 3


def money(pennies: int) -> str:
    """Returns an amount in words, such as `2 crowns and 5 pennies`."""
    crowns, rest = divmod(pennies, CROWN)
    parts = []
    if crowns:
        parts.append(f"{crowns} crown{'s' * (crowns != 1)}")
    if rest or not crowns:
        parts.append("1 penny" if rest == 1 else f"{rest} pennies")
    return " and ".join(parts)


class Village:
    """The whole state of one game.

    Args:
        player: The player's name.
        purse: Pennies.

    Attributes:
        purse: Pennies the player has.
        satchel: What the player carries, by name.
        stock: What the smithy has.
        beds: Free beds of the inn, by kind.
        larder: Portions left at the inn.
        place: Where the player is.
        hour: Hours since midnight of the first day.
        is_member: Whether the player belongs to the guild.
        stages: The player's quests: TAKEN, DONE or PAID by name.
        trust: How far each character trusts the player, 0 to 100.
        news: What everybody has heard, oldest first.
    """

    def __init__(self, player: str = "Ada", *, purse: int = 100 * CROWN) -> None:
        self.player = player
        self.purse = purse
        self.satchel: Counter[str] = Counter()
        self.stock = Counter(dict.fromkeys(WEAPONS, 3))
        self.beds = Counter({"common bed": 6, "private room": 2})
        self.larder = Counter(dict.fromkeys(MENU, 10))
        self.place = "square"
        self.hour = FIRST_HOUR
        self.is_member = False
        self.stages: dict[str, int] = {}
        self.trust = dict.fromkeys(AT_HOME.values(), 10)
        self.news: list[str] = []
        self._rumours = list(RUMOURS)
        self._actions: dict[str, dict[str, Callable[..., dict[str, Any]]]] = {
            "hesta": {"look_up_price": self._look_up_price, "sell_item": self._sell, "buy_item": self._buy_back},
            "corin": {
                "rent_room": self._rent_room,
                "serve_order": self._serve,
                "fetch_rumour": self._rumour,
                "stable_horse": self._stable,
            },
            "ambrose": {
                "look_up_quest": self._look_up_quest,
                "list_quests": self._list_quests,
                "assign_quest": self._assign_quest,
                "register_member": self._register,
            },
        }

    # --- what the talk needs ---------------------------------------------------------------------------------

    @property
    def who_is_here(self) -> str | None:
        """The id of the character where the player is, or None."""
        return AT_HOME.get(self.place)

    def actions_of(self, character_id: str) -> list[str]:
        """Returns the names of the actions that this game runs for a character."""
        return list(self._actions[character_id])

    def state_for(self, character_id: str) -> dict[str, Any]:
        """Returns the game's state as this character may see it."""
        return {
            "trust": self.trust[character_id],
            "place": self.place,
            "hour": self.hour % HOURS_A_DAY,
            "factions": ["guild"] if self.is_member else [],
            "quests": {name.replace(" ", "_"): stage for name, stage in self.stages.items()},
        }

    def run(self, character_id: str, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Carries out what a character asks for; returns what happened.

        Raises:
            Refused: It cannot be done; nothing has changed.
        """
        handler = self._actions.get(character_id, {}).get(action)
        if handler is None:
            raise Refused(f"nobody here can do that: {action}")
        try:
            asked = inspect.signature(handler).bind(**arguments)
        except TypeError:
            raise Refused(f"{action} was asked for in a way that nobody understands") from None
        return handler(*asked.args, **asked.kwargs)

    # --- what the player does --------------------------------------------------------------------------------

    def go(self, place: str) -> None:
        """Moves the player and takes an hour; at the guild, finished quests are paid.

        Raises:
            Refused: There is no such place.
        """
        if place not in PLACES:
            raise Refused(f"there is no {place}; there are: {', '.join(PLACES)}")
        self.place = place
        self.wait(1)
        if place == "guild":
            self._pay_finished()

    def wait(self, hours: int) -> None:
        """Lets time pass; what happens meanwhile goes to the news.

        Raises:
            Refused: Less than an hour, or more than a day.
        """
        if not 1 <= hours <= HOURS_A_DAY:
            raise Refused(f"wait 1 to {HOURS_A_DAY} hours")
        for _ in range(hours):
            self.hour += 1
            if self.hour in TIMETABLE:
                self.news.append(TIMETABLE[self.hour])

    def work(self) -> str:
        """Does the quest that can be done here; returns its name.

        Raises:
            Refused: There is none, or the right tool is missing.
        """
        for name, stage in self.stages.items():
            quest = QUESTS[name]
            if stage != TAKEN or quest.place != self.place:
                continue
            if not any(self.satchel[tool] for tool in quest.tools):
                raise Refused(f"that needs a {' or a '.join(quest.tools)}")
            self.stages[name] = DONE
            self.news.append(quest.news)
            self._gain_trust(quest.friend, 45)
            self._gain_trust("ambrose", 20)
            return name
        raise Refused("there is nothing to do here")

    # --- the smithy ------------------------------------------------------------------------------------------

    def _look_up_price(self, item: str) -> dict[str, Any]:
        self._must_know(item, WEAPONS)
        return {"item": item, "price": money(self._price(item)), "in_stock": self.stock[item]}

    def _sell(self, item: str, quantity: int) -> dict[str, Any]:
        self._must_know(item, WEAPONS)
        _must_count(quantity)
        if self.stock[item] < quantity:
            raise Refused(f"there are only {self.stock[item]} of {item} left")
        price = self._price(item) * quantity
        self._pay(price)
        self.stock[item] -= quantity
        self.satchel[item] += quantity
        self._gain_trust("hesta", 5)
        return {"sold": item, "quantity": quantity, "price_paid": money(price)}

    def _buy_back(self, item: str) -> dict[str, Any]:
        self._must_know(item, WEAPONS)
        if not self.satchel[item]:
            raise Refused(f"the player has no {item}")
        paid = WEAPONS[item] // USED_SHARE
        self.satchel[item] -= 1
        self.stock[item] += 1
        self.purse += paid
        return {"bought": item, "paid": money(paid)}

    def _price(self, item: str) -> int:
        price = WEAPONS[item]
        return price - price // GUILD_SHARE if self.is_member else price

    # --- the inn ---------------------------------------------------------------------------------------------

    def _rent_room(self, kind: str, nights: int) -> dict[str, Any]:
        self._must_know(kind, BEDS)
        _must_count(nights)
        if not self.beds[kind]:
            raise Refused(f"no {kind} is free")
        price = MEMBERS_ROOM if kind == "private room" and self.is_member else BEDS[kind]
        self._pay(price * nights)
        self.beds[kind] -= 1
        self._gain_trust("corin", 5)
        return {"room": kind, "nights": nights, "price_paid": money(price * nights)}

    def _serve(self, item: str, quantity: int) -> dict[str, Any]:
        self._must_know(item, MENU)
        _must_count(quantity)
        if self.larder[item] < quantity:
            raise Refused(f"there is not enough {item} left")
        self._pay(MENU[item] * quantity)
        self.larder[item] -= quantity
        self._gain_trust("corin", 2)
        return {"served": item, "quantity": quantity, "price_paid": money(MENU[item] * quantity)}

    def _rumour(self) -> dict[str, Any]:
        if not self._rumours:
            raise Refused("it has been a quiet day")
        return {"rumour": self._rumours.pop(0)}

    def _stable(self, nights: int) -> dict[str, Any]:
        raise Refused("the player has no horse")

    # --- the guild -------------------------------------------------------------------------------------------

    def _look_up_quest(self, quest: str) -> dict[str, Any]:
        self._must_know(quest, QUESTS)
        return {"quest": quest, "reward": money(QUESTS[quest].reward), "state": self._state_of(quest)}

    def _list_quests(self) -> dict[str, Any]:
        return {"open": [name for name in QUESTS if self._state_of(name) == "open"]}

    def _assign_quest(self, quest: str) -> dict[str, Any]:
        self._must_know(quest, QUESTS)
        if not self.is_member:
            raise Refused("only members of the guild may take a quest")
        state = self._state_of(quest)
        if state != "open":
            raise Refused(f"that notice is not open: it is {state}")
        self.stages[quest] = TAKEN
        self.news.append(f"{self.player} has signed up for this quest: {quest}.")
        return {"assigned": quest, "reward": money(QUESTS[quest].reward)}

    def _register(self, name: str) -> dict[str, Any]:
        if self.is_member:
            raise Refused("the player is a member already")
        self._pay(MEMBERSHIP_FEE)
        self.is_member = True
        self.news.append(f"{self.player} has joined the Wayfarers' Guild.")
        self._gain_trust("ambrose", 10)
        return {"registered": name, "rank": "copper", "fee_paid": money(MEMBERSHIP_FEE)}

    def _state_of(self, quest: str) -> str:
        stage = self.stages.get(quest)
        if stage is not None:
            return "taken by the player" if stage == TAKEN else "done"
        return "open" if QUESTS[quest].place else "taken by others"

    def _pay_finished(self) -> None:
        for name, stage in self.stages.items():
            if stage == DONE:
                self.stages[name] = PAID
                reward = QUESTS[name].reward
                self.purse += reward - reward // GUILD_SHARE

    # --- what several need -----------------------------------------------------------------------------------

    def _must_know(self, name: str, table: Mapping[str, Any]) -> None:
        if not isinstance(name, str) or name not in table:
            raise Refused(f"there is no {name} here")

    def _pay(self, price: int) -> None:
        if self.purse < price:
            raise Refused(f"the price is {money(price)}, and the player has {money(self.purse)}")
        self.purse -= price

    def _gain_trust(self, character_id: str, gain: int) -> None:
        self.trust[character_id] = min(MAX_TRUST, self.trust[character_id] + gain)


def _must_count(quantity: object) -> None:
    if not isinstance(quantity, int) or isinstance(quantity, bool) or quantity < 1:
        raise Refused("that is no number of things")
