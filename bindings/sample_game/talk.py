"""The talk loop: lines in, speech out; the village's actions, state and news to the characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from npc_engine.client.blocking import Client, Conversation
from npc_engine.client.turn import ActionFailed
from npc_engine.errors import ConnectionLost, ProtocolError, RequestError
from npc_engine.protocol.messages import ActionCall, Sentence

from .village import PLACES, Refused, Village, money

HELP = f"""\
/go PLACE     walk there, which takes an hour: {", ".join(PLACES)}
/wait HOURS   let time pass
/work         do the quest that can be done here
/bag          what you have
/quit         leave
Anything else is said to whoever is here."""


class Game:
    """One player's game against one server.

    Args:
        client: Connected.
        village: The world; it is changed.
        show: Takes each line of output.
    """

    def __init__(self, client: Client, village: Village, show: Callable[[str], None] = print) -> None:
        self._client = client
        self._village = village
        self._show = show
        self._names = {entry.id: entry.name for entry in client.characters()}
        self._talks: dict[str, Conversation] = {}
        # What each character was told last, and how much of the news all have heard.
        self._told: dict[str, dict[str, Any]] = {}
        self._num_news_told = 0

    def play(self, lines: Iterable[str]) -> None:
        """Plays until the lines end or one is /quit.

        Raises:
            ConnectionLost: The server is gone.
        """
        for line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if text == "/quit":
                return
            try:
                self._obey(text) if text.startswith("/") else self._say(text)
                self._tell()
            except Refused as refusal:
                self._show(f"({refusal.reason})")
            except ConnectionLost:
                raise
            except (RequestError, ProtocolError) as error:
                self._show(f"({error.code}: {error.message})")

    def _obey(self, line: str) -> None:
        command, _, argument = line.partition(" ")
        match command:
            case "/go":
                before = self._village.purse
                self._village.go(argument.strip())
                self._show(f"[{self._village.place}, {self._village.hour % 24:02}:00]")
                if self._village.purse > before:
                    self._show(f"(the guild pays you {money(self._village.purse - before)})")
                self._meet()
            case "/wait":
                self._village.wait(int(argument) if argument.strip().isdecimal() else 0)
            case "/work":
                self._show(f"(done: {self._village.work()})")
            case "/bag":
                things = [f"{count} {name}" for name, count in self._village.satchel.items() if count]
                self._show(f"({'; '.join([money(self._village.purse), *things])})")
            case _:
                self._show(HELP)

    def _meet(self) -> None:
        who = self._village.who_is_here
        if who is None or who in self._talks:
            return
        state = self._village.state_for(who)
        talk = self._client.open(
            who,
            player_id=self._village.player.lower(),
            player_name=self._village.player,
            state=state,
            on_action=lambda call: self._run(who, call),
            actions=self._village.actions_of(who),
        )
        self._talks[who] = talk
        self._told[who] = state
        for text in self._village.news[: self._num_news_told]:
            talk.world_event(text)
        self._show(f"{self._names[who]}: {talk.greeting}")

    def _say(self, text: str) -> None:
        who = self._village.who_is_here
        if who is None:
            self._show("(nobody is here; try /go smithy)")
            return
        self._meet()
        for event in self._talks[who].say(text):
            if isinstance(event, Sentence):
                self._show(f"{self._names[who]}: {event.text}")

    def _run(self, who: str, call: ActionCall) -> Mapping[str, Any]:
        try:
            result = self._village.run(who, call.name, call.arguments)
        except Refused as refusal:
            self._show(f"  [{call.name}: refused, {refusal.reason}]")
            raise ActionFailed(refusal.reason) from None
        self._show(f"  [{call.name}: {result}]")
        return result

    def _tell(self) -> None:
        """Tells everybody the news, and each character what has changed of its state."""
        for text in self._village.news[self._num_news_told :]:
            self._client.world_event(text, game_time=float(self._village.hour))
            self._show(f"  [news: {text}]")
            self._num_news_told += 1
        for who, talk in self._talks.items():
            state = self._village.state_for(who)
            changes = {name: value for name, value in state.items() if self._told[who].get(name) != value}
            if changes:
                talk.set_state(changes)
                self._told[who] = state
