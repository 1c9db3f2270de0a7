"""The sample game: its rules alone, against the shipped sheets, and played against a scripted dialogue."""

import asyncio
import json

import pytest

from bindings.sample_game.__main__ import main
from bindings.sample_game.village import (
    AT_HOME,
    BEDS,
    CROWN,
    MENU,
    QUESTS,
    TIMETABLE,
    WEAPONS,
    Refused,
    Village,
    money,
)
from npc_engine.config import EngineConfig
from npc_engine.dialogue.events import ActionCall, Sentence, TurnEnd
from npc_engine.server.background import BackgroundServer
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from tests.scripted import Character

SHEETS = {name: load_sheet(shipped_sheets_dir() / f"{name}.yaml") for name in AT_HOME.values()}


@pytest.fixture
def village():
    return Village()


def snapshot(village):
    return json.dumps({name: value for name, value in vars(village).items() if name != "_actions"}, sort_keys=True)


class TestRules:
    def test_a_bought_sword_leaves_the_stock_and_the_coins_leave_the_purse(self, village):
        result = village.run("hesta", "sell_item", {"item": "short sword", "quantity": 2})
        assert result == {"sold": "short sword", "quantity": 2, "price_paid": "80 crowns"}
        assert village.stock["short sword"] == 1
        assert village.satchel["short sword"] == 2
        assert village.purse == 20 * CROWN

    @pytest.mark.parametrize(
        ("who", "action", "arguments", "reason"),
        [
            ("hesta", "sell_item", {"item": "long sword", "quantity": 2}, "the price is 130 crowns"),
            ("hesta", "sell_item", {"item": "dagger", "quantity": 4}, "only 3 of dagger left"),
            ("hesta", "sell_item", {"item": "dagger", "quantity": 0}, "no number"),
            ("hesta", "sell_item", {"item": "dagger", "quantity": True}, "no number"),
            ("hesta", "sell_item", {"item": "halberd", "quantity": 1}, "no halberd"),
            ("hesta", "sell_item", {"item": ["dagger"], "quantity": 1}, "no "),
            ("hesta", "sell_item", {"item": "dagger"}, "nobody understands"),
            ("hesta", "buy_item", {"item": "dagger"}, "the player has no dagger"),
            ("hesta", "rent_room", {"kind": "common bed", "nights": 1}, "nobody here can do that"),
            ("corin", "serve_order", {"item": "wine", "quantity": 11}, "not enough wine"),
            ("corin", "stable_horse", {"nights": 1}, "no horse"),
            ("ambrose", "assign_quest", {"quest": "lampreys"}, "only members"),
            ("nobody", "sell_item", {}, "nobody here"),
        ],
    )
    def test_what_cannot_be_done_changes_nothing(self, village, who, action, arguments, reason):
        before = snapshot(village)
        with pytest.raises(Refused, match=reason):
            village.run(who, action, arguments)
        assert snapshot(village) == before

    def test_a_used_weapon_brings_a_third(self, village):
        village.run("hesta", "sell_item", {"item": "spear", "quantity": 1})
        village.run("hesta", "buy_item", {"item": "spear"})
        assert village.purse == 90 * CROWN
        assert (village.satchel["spear"], village.stock["spear"]) == (0, 3)

    def test_the_inn_runs_out_of_rooms(self, village):
        for _ in range(2):
            village.run("corin", "rent_room", {"kind": "private room", "nights": 3})
        assert village.purse == 100 * CROWN - 72
        with pytest.raises(Refused, match="no private room is free"):
            village.run("corin", "rent_room", {"kind": "private room", "nights": 1})

    def test_members_pay_less_and_the_fee_is_paid_once(self, village):
        village.run("ambrose", "register_member", {"name": "Ada"})
        assert village.purse == 95 * CROWN
        assert village.run("hesta", "look_up_price", {"item": "short sword"})["price"] == "36 crowns"
        assert village.run("corin", "rent_room", {"kind": "private room", "nights": 1})["price_paid"] == "9 pennies"
        with pytest.raises(Refused, match="already"):
            village.run("ambrose", "register_member", {"name": "Ada"})

    def test_a_quest_from_the_board_to_the_reward(self, village):
        village.run("ambrose", "register_member", {"name": "Ada"})
        village.run("ambrose", "assign_quest", {"quest": "lampreys"})
        assert village.run("ambrose", "list_quests", {}) == {"open": ["stolen iron"]}
        village.go("mill")
        with pytest.raises(Refused, match="needs a spear"):
            village.work()
        village.run("hesta", "sell_item", {"item": "spear", "quantity": 1})
        assert village.work() == "lampreys"
        purse = village.purse
        village.go("guild")
        assert village.purse - purse == 216, "12 crowns less the guild's tenth"
        village.go("guild")
        assert village.purse - purse == 216, "paid once"
        with pytest.raises(Refused, match="nothing to do"):
            village.work()
        with pytest.raises(Refused, match="not open"):
            village.run("ambrose", "assign_quest", {"quest": "salt caravan"})
        assert village.news == [
            "Ada has joined the Wayfarers' Guild.",
            "Ada has signed up for this quest: lampreys.",
            "The mill pond is free of lampreys.",
        ]

    def test_rumours_run_out(self, village):
        told = [village.run("corin", "fetch_rumour", {})["rumour"] for _ in range(2)]
        assert len(set(told)) == 2
        with pytest.raises(Refused, match="quiet day"):
            village.run("corin", "fetch_rumour", {})

    def test_time_brings_news_once(self, village):
        village.wait(24)
        assert village.news == list(TIMETABLE.values())
        village.wait(24)
        assert village.news == list(TIMETABLE.values())
        for hours in (0, -1, 25):
            with pytest.raises(Refused):
                village.wait(hours)

    def test_trust_stays_within_its_bounds(self, village):
        village.purse = 10**6
        village.larder["ale"] = 100
        for _ in range(60):
            village.run("corin", "serve_order", {"item": "ale", "quantity": 1})
        assert village.trust["corin"] == 100

    def test_unknown_places_are_refused(self, village):
        with pytest.raises(Refused, match="no moon"):
            village.go("moon")
        assert village.place == "square"

    @pytest.mark.parametrize(
        ("pennies", "words"),
        [(0, "0 pennies"), (1, "1 penny"), (20, "1 crown"), (45, "2 crowns and 5 pennies")],
    )
    def test_money_in_words(self, pennies, words):
        assert money(pennies) == words


class TestAgainstTheSheets:
    """The game's tables say what the shipped characters say."""

    @pytest.mark.parametrize("who", SHEETS)
    def test_every_action_of_the_sheet_is_run(self, village, who):
        assert village.actions_of(who) == [action.name for action in SHEETS[who].actions]

    @pytest.mark.parametrize(
        ("who", "action", "parameter", "table"),
        [
            ("hesta", "sell_item", "item", WEAPONS),
            ("corin", "serve_order", "item", MENU),
            ("corin", "rent_room", "kind", BEDS),
            ("ambrose", "assign_quest", "quest", QUESTS),
        ],
    )
    def test_every_choice_of_the_sheet_is_known(self, who, action, parameter, table):
        declared = next(each for each in SHEETS[who].actions if each.name == action)
        choices = next(each for each in declared.parameters if each.name == parameter).choices
        assert set(choices) == set(table)

    @pytest.mark.parametrize("name", [name for name in WEAPONS if name != "arrowheads"])
    def test_prices_are_those_that_the_smith_tells(self, name):
        texts = [fact.text for fact in SHEETS["hesta"].facts]
        assert f"I charge {WEAPONS[name] // CROWN} crowns for a {name}." in texts

    def test_rewards_are_those_that_the_receptionist_tells(self):
        texts = " ".join(fact.text for fact in SHEETS["ambrose"].facts if fact.id.startswith("quest-"))
        assert all(f"pays {quest.reward // CROWN} crowns" in texts for quest in QUESTS.values())

    def test_the_engine_takes_every_state(self, village):
        village.run("ambrose", "register_member", {"name": "Ada"})
        village.run("ambrose", "assign_quest", {"quest": "stolen iron"})
        village.run("hesta", "sell_item", {"item": "short sword", "quantity": 1})
        village.go("stair")
        village.wait(20)
        village.work()
        state = GameState.parse(village.state_for("hesta"))
        assert state.quests == {"stolen_iron": 2}
        assert state.trust >= 50, "now she tells of her eye"


class VillageConversation:
    """Says what its line orders: `do NAME JSON` calls an action; `state` and `events` tell what it was told."""

    def __init__(self, character_id, state, actions):
        self.id = character_id
        self.greeting = f"I am {character_id}."
        self.actions = actions
        self._state = dict(state)
        self._events = []
        self._outcome = None

    async def say(self, text, *, controls, seed):
        word, _, rest = text.partition(" ")
        reply = text
        if word == "do":
            name, _, arguments = rest.partition(" ")
            assert name in self.actions
            self._outcome = asyncio.get_running_loop().create_future()
            yield ActionCall(call_id="call", name=name, arguments=json.loads(arguments))
            reply = await self._outcome
        elif word == "state":
            reply = json.dumps(self._state, sort_keys=True)
        elif word == "events":
            reply = json.dumps(self._events)
        yield Sentence(index=0, text=reply)
        yield TurnEnd(text=reply, finish_reason="stop", source="model")

    def cancel(self):
        return False

    def action_result(self, call_id, result, error):
        self._outcome.set_result(f"It is done: {result}" if error is None else f"I cannot: {error}.")

    def world_event(self, text, game_time):
        self._events.append(text)

    def set_state(self, changes):
        GameState.parse(self._state | changes)
        self._state |= changes

    def close(self):
        pass


class VillageDialogue:
    async def start(self):
        pass

    async def aclose(self):
        pass

    def characters(self):
        return [Character(name, name.title(), "villager") for name in sorted(SHEETS)]

    def open_conversation(self, character_id, *, player_id, player_name, state, actions, declare_actions):
        return VillageConversation(character_id, state, actions)

    def health(self):
        return {}

    def metrics_text(self):
        return ""


@pytest.fixture
def play(tmp_path, capsys):
    """Plays a script through the command; returns the lines that it printed."""

    def run(*lines):
        script = tmp_path / "script.txt"
        script.write_text("\n".join(lines))
        with BackgroundServer(VillageDialogue(), config=EngineConfig(address="tcp://127.0.0.1:*")) as server:
            assert main(["--address", server.address, "--script", str(script)]) == 0
        return capsys.readouterr().out.splitlines()

    return run


class TestPlayed:
    def test_a_sword_is_bought(self, play):
        told = play("/go smithy", 'do sell_item {"item": "short sword", "quantity": 1}', "/bag")
        assert "Hesta: I am hesta." in told
        assert any(line.startswith("Hesta: It is done: {'sold': 'short sword'") for line in told)
        assert told[-1] == "(60 crowns; 1 short sword)"

    def test_what_the_game_refuses_is_what_the_character_hears(self, play):
        told = play("/go smithy", 'do sell_item {"item": "long sword", "quantity": 2}', "/bag")
        assert "Hesta: I cannot: the price is 130 crowns, and the player has 100 crowns." in told
        assert told[-1] == "(100 crowns)"

    def test_state_follows_the_player(self, play):
        told = play("/go inn", 'do serve_order {"item": "ale", "quantity": 1}', "/wait 3", "state", "/go square")
        state = json.loads(next(line for line in told if line.startswith("Corin: {")).removeprefix("Corin: "))
        assert state == {"trust": 12, "place": "inn", "hour": 13, "factions": [], "quests": {}}
        assert told[-2:] == ["[square, 14:00]", f"  [news: {TIMETABLE[14]}]"]

    def test_news_reaches_those_who_know_the_player_and_those_met_later(self, play):
        told = play(
            "/go guild",
            'do register_member {"name": "Ada"}',
            "events",
            "/go inn",
            "events",
            "/go guild",
            "/wait 2",
            "events",
        )
        joined, rain = "Ada has joined the Wayfarers' Guild.", TIMETABLE[14]
        heard = [json.loads(line.split(": ", 1)[1]) for line in told if '["' in line]
        assert heard == [[joined], [joined], [joined, rain]]

    def test_a_whole_quest(self, play):
        told = play(
            "/go guild",
            'do register_member {"name": "Ada"}',
            'do assign_quest {"quest": "lampreys"}',
            "/go smithy",
            'do sell_item {"item": "spear", "quantity": 1}',
            "/go mill",
            "/work",
            "/go guild",
            "state",
            "/bag",
        )
        assert "(done: lampreys)" in told
        assert "(the guild pays you 10 crowns and 16 pennies)" in told
        assert '"quests": {"lampreys": 3}' in told[-3]
        assert told[-1] == "(92 crowns and 6 pennies; 1 spear)"

    def test_comments_blank_lines_and_nobody_here(self, play):
        told = play("# nothing", "", "Hello?", "/go moon", "/wait soon", "/quit", "/bag")
        assert "(nobody is here; try /go smithy)" in told
        assert any(line.startswith("(there is no moon") for line in told)
        assert "(wait 1 to 24 hours)" in told
        assert told[-1] == "> /quit"

    def test_a_missing_script_is_told(self, tmp_path, capsys):
        assert main(["--script", str(tmp_path / "none.txt")]) == 1
        assert "cannot read the script" in capsys.readouterr().err
