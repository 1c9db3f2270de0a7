"""Several characters and a player in one place, each character over a conversation of its own.

A line reaches those whom it addresses; everybody else who is there is told of it as a world event, and of every reply.
Nobody is told what was said while it was away. A member whom a reply calls by name may answer it, in a conversation
whose player is the character that spoke.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any

from npc_engine.client.asynchronous import AsyncClient, AsyncConversation
from npc_engine.client.turn import ActionFailed
from npc_engine.errors import (
    ConnectionLost,
    NpcEngineError,
    RequestError,
    TextTooLong,
    TurnInProgress,
    UnknownActionCall,
    UnknownCharacter,
)
from npc_engine.playtest.heard import HeardTurn
from npc_engine.playtest.scene.addressing import address, call_names, called
from npc_engine.playtest.scene.hearing import Hearing
from npc_engine.playtest.scene.members import Channel, Member, Reply, Round, SceneEvent, Utterance, cut
from npc_engine.protocol.messages import MAX_SEED, ActionCall, ControlsSet

# Runs an action for the member with this id; raises ActionFailed for one that did not happen.
OnAction = Callable[[str, ActionCall], Awaitable[Mapping[str, Any]]]

# What a member has heard is told to a conversation that is opened late, the latest of it: older talk helps little, and
# each sentence is a request.
MAX_RETOLD = 40


class Scene:
    """The place: it begins with `begin`. For one event loop, one line at a time.

    Args:
        client: Connected.
        player_id: The game's stable id of the player.
        player_name: How the characters may address the player.
        state: The game's state now.
        on_action: Runs the actions of talks with the player; without it none is offered.
        actions: The sheets' actions that the game runs; None for all of them.
        max_chain: How often in a round a member may answer another's call.

    Attributes:
        members: Everybody who takes part, in order; also those who are away.
        rounds: The player's lines and what came of each.
        hearing: What was said aloud, and who could not be told of it.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        player_id: str,
        player_name: str,
        state: Mapping[str, Any] | None = None,
        on_action: OnAction | None = None,
        actions: Sequence[str] | None = None,
        max_chain: int = 1,
    ) -> None:
        self.members: list[Member] = []
        self.rounds: list[Round] = []
        self.hearing = Hearing(client)
        self._client = client
        self._player_id = player_id
        self._player_name = player_name
        self._state = dict(state or {})
        self._controls: dict[str, Any] = {}
        self._on_action = on_action
        self._actions = actions if on_action is not None else ()
        self._max_chain = max_chain
        self._last: str | None = None
        self._speaking: tuple[Member, AsyncConversation] | None = None
        self._is_running = False
        self._is_stopped = False

    async def begin(self, characters: Sequence[str], *, absent: Sequence[str] = ()) -> None:
        """Open a conversation with each, in order; then they greet, and all of them hear it.

        Args:
            characters: Ids of those who are there from the beginning.
            absent: Ids of those who come later, by `join`; with the others at least two.

        Raises:
            RequestError: Fewer than two in all, or one of them twice.
            UnknownCharacter: The server has no such character.
            NpcEngineError: A conversation was not opened. In every case nothing is left open.
        """
        names = await self._known()
        everybody = [*characters, *absent]
        for index, one in enumerate(everybody):
            if one not in names:
                raise _unknown(one, names)
            if one in everybody[:index]:
                raise RequestError(f"{one} is named twice", hint="a scene has each character once")
        if len(everybody) < 2:
            raise RequestError("a scene needs two characters", hint="open a conversation to talk to one alone")
        self.members = [Member(id=one, name=names[one]) for one in everybody]
        try:
            for one in characters:
                await self._enter(self.member(one))
            for member in self.present:
                await self._greet(member)
        except BaseException:
            await self.close()
            raise

    async def __aenter__(self) -> Scene:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def present(self) -> list[Member]:
        """Those who are there, in order."""
        return [member for member in self.members if member.is_present]

    def member(self, name: str) -> Member:
        """A member by id or by what it is called.

        Raises:
            UnknownCharacter: Nobody is called so.
        """
        names = {member.id: member.name for member in self.members}
        found = call_names(names).get(" ".join(name.casefold().split()))
        for member in self.members:
            if member.id == found:
                return member
        raise UnknownCharacter(f"nobody here is called {name[:60]!r}", hint=f"there are: {', '.join(names.values())}")

    async def close(self) -> None:
        """End every conversation; a running turn is cancelled. Does nothing the second time."""
        for member in self.members:
            for channel in member.channels:
                with suppress(NpcEngineError):
                    await channel.conversation.close()
            member.own, member.among, member.is_present = None, {}, False

    async def say(self, line: str, *, seed: int | None = None) -> AsyncGenerator[SceneEvent, None]:
        """The player speaks; those whom the line addresses answer one after another, then whom a reply calls by name.

        Leaving the loop early cancels the turn that runs and lets nobody else speak; what was heard stays said.

        Args:
            line: The player's line.
            seed: What the first reply draws by, the next one by the next number; None leaves it to the server.

        Yields:
            Every event of every turn; where one fails, its error in the place of the rest, and the others go on.

        Raises:
            TextTooLong, RequestError, TurnInProgress: The line cannot be said. Nothing has changed.
            ConnectionLost: The server is gone; what was heard before is in `rounds`.
        """
        self._check(line)
        self._is_running, self._is_stopped = True, False
        try:
            current = self._begin(line)
            utterance = await self._heard_aloud(current)
            for one in current.addressed.members:
                member = self.member(one)
                if self._is_stopped or not member.is_present:
                    # It was called, and heard it.
                    await self.hearing.tell(member, member.own, utterance)
                    continue
                async with aclosing(self._answer(current, member, utterance, partner=None, seed=seed)) as events:
                    async for event in events:
                        yield event
            async with aclosing(self._chain(current, seed)) as events:
                async for event in events:
                    yield event
        finally:
            self._is_running = False

    async def cancel(self) -> bool:
        """Stop the turn that runs, whose end still comes, and let nobody else of this round speak; whether one ran."""
        self._is_stopped = True
        return self._speaking is not None and await self._speaking[1].cancel()

    async def join(self, name: str) -> Member:
        """Somebody comes: a member who was away, or any other character of the server. What it missed it does not know.

        Raises:
            RequestError: It is there already.
            UnknownCharacter: Nobody is called so.
            NpcEngineError: Its conversation was not opened; it stays away.
        """
        try:
            member = self.member(name)
        except UnknownCharacter:
            names = await self._known()
            found = call_names(names).get(" ".join(name.casefold().split()))
            if found is None:
                raise _unknown(name, names) from None
            member = Member(id=found, name=names[found])
        if member.is_present:
            raise RequestError(f"{member.name} is here already", hint="say something")
        if member not in self.members:
            self.members.append(member)
        is_first = member.own is None
        await self._enter(member)
        if is_first:
            await self._greet(member)
        return member

    async def leave(self, name: str) -> Member:
        """Somebody goes: it hears nothing until it joins again. Where it speaks, it stops; what was heard was said.

        Raises:
            UnknownCharacter: Nobody is called so.
            RequestError: It is not there.
        """
        member = self.member(name)
        if not member.is_present:
            raise RequestError(f"{member.name} is not here", hint="let it come with join first")
        member.is_present = False
        if self._speaking is not None and self._speaking[0] is member:
            with suppress(NpcEngineError):
                await self._speaking[1].cancel()
        return member

    async def world_event(self, text: str) -> None:
        """Tell everybody who is there that something happened.

        Raises:
            NpcEngineError: The server did not take it; those before the first who was not told know it.
        """
        for member in self.present:
            for channel in member.channels:
                await channel.conversation.world_event(text)

    async def set_state(self, changes: Mapping[str, Any]) -> None:
        """Change the game's state, for those who are away too.

        Raises:
            InvalidState: Nothing has changed.
        """
        for member in self.members:
            for channel in member.channels:
                await channel.conversation.set_state(changes)
        self._state |= changes

    async def set_controls(self, controls: Mapping[str, Any]) -> dict[str, ControlsSet]:
        """Change how everybody talks, those who come later too; what is in force now, by member.

        Raises:
            InvalidControls: Nothing has changed.
        """
        now = {}
        for member in self.members:
            for channel in reversed(member.channels):
                now[member.id] = await channel.conversation.set_controls(controls)
        self._controls |= controls
        return now

    def _check(self, line: str) -> None:
        if self._is_running:
            raise TurnInProgress("the characters are still answering", hint="hear the round to its end, or cancel it")
        if not self.present:
            raise RequestError("nobody is here", hint="let somebody come with join first")
        if not line.strip():
            raise RequestError("the text is empty", hint="send what the player said, at least one visible character")
        if len(line) > self.hearing.max_chars:
            raise TextTooLong(
                f"a text of {len(line)} characters; at most {self.hearing.max_chars} are accepted",
                hint="shorten it; the limit is max_text_chars",
            )

    def _begin(self, line: str) -> Round:
        here = {member.id: member.name for member in self.present}
        away = {member.id: member.name for member in self.members if not member.is_present}
        addressed = address(line, here, last=self._last)
        current = Round(line=line, addressed=addressed, absent=called(line, away) if away else ())
        self.rounds.append(current)
        self._last = addressed.members[-1]
        return current

    async def _heard_aloud(self, current: Round) -> Utterance:
        """The player's line is heard by everybody; those whom it addresses get it as a line of their own."""
        to = tuple(self.member(one).name for one in current.addressed.members)
        utterance = Utterance(speaker=self._player_name, to=to, text=current.line)
        for one in current.addressed.members:
            own = self.member(one).own
            if own is not None:
                utterance.said_in.add(own.conversation.id)
        await self.hearing.spread(utterance, self.present)
        return utterance

    async def _chain(self, current: Round, seed: int | None) -> AsyncGenerator[SceneEvent, None]:
        for _ in range(self._max_chain):
            found = None if self._is_stopped else self._called_by_a_reply(current)
            if found is None:
                return
            reply, member = found
            assert reply.utterance is not None  # it called somebody
            partner = self.member(reply.member)
            async with aclosing(self._answer(current, member, reply.utterance, partner=partner, seed=seed)) as events:
                async for event in events:
                    yield event

    def _called_by_a_reply(self, current: Round) -> tuple[Reply, Member] | None:
        """The first reply that calls somebody who is there and has not spoken since, with whom it calls."""
        for index, reply in enumerate(current.replies):
            others = {one.id: one.name for one in self.present if one.id != reply.member}
            since = {one.member for one in current.replies[index + 1 :]}
            for one in called(reply.text, others) if others and reply.text else ():
                if one not in since:
                    return reply, self.member(one)
        return None

    async def _answer(
        self, current: Round, member: Member, utterance: Utterance, *, partner: Member | None, seed: int | None
    ) -> AsyncGenerator[SceneEvent, None]:
        """One member's turn: an answer to the player, or to another member (`partner`)."""
        line = cut(" ".join(utterance.text.split()) if partner else utterance.text, max_chars=self.hearing.max_chars)
        reply = Reply(member=member.id, to=partner.id if partner else None, heard=HeardTurn(line=line))
        draws_by = None if seed is None else (seed + len(current.replies)) & MAX_SEED
        current.replies.append(reply)
        channel = None
        try:
            channel = member.own if partner is None else await self._among(member, partner, utterance)
            assert channel is not None  # who is present has one
            async with aclosing(self._turn(member, channel.conversation, reply, draws_by)) as events:
                async for event in events:
                    yield event
        except NpcEngineError as error:
            reply.error = error
        finally:
            await self._spread_reply(member, reply, channel, partner)
        if isinstance(reply.error, ConnectionLost):
            raise reply.error
        if reply.error is not None:
            # The line is no part of its talk then, but it was there and heard it.
            await self.hearing.tell(member, channel, utterance)
            yield SceneEvent(reply=reply, event=reply.error)

    async def _turn(
        self, member: Member, conversation: AsyncConversation, reply: Reply, seed: int | None
    ) -> AsyncGenerator[SceneEvent, None]:
        heard = reply.heard
        begun = time.perf_counter()
        turn = conversation.say(heard.line, seed=seed)
        self._speaking = (member, conversation)
        is_over = False
        try:
            async for event in turn:
                heard.count(event, time.perf_counter() - begun)
                if isinstance(event, ActionCall):
                    await self._run_action(member, conversation, event)
                yield SceneEvent(reply=reply, event=event)
            is_over = True
        except NpcEngineError:
            is_over = True
            raise
        finally:
            self._speaking = None
            if not is_over:
                # Nobody listens any more.
                self._is_stopped = True
                with suppress(NpcEngineError):
                    heard.count(await turn.cancel(), time.perf_counter() - begun)

    async def _run_action(self, member: Member, conversation: AsyncConversation, call: ActionCall) -> None:
        assert self._on_action is not None  # without it no action is offered
        # Where nobody waits for the outcome any more, the turn has gone on without it.
        with suppress(UnknownActionCall):
            try:
                result = await self._on_action(member.id, call)
            except ActionFailed as failure:
                await conversation.refuse(call, failure.reason)
            else:
                await conversation.answer(call, result)

    async def _spread_reply(
        self, member: Member, reply: Reply, channel: Channel | None, partner: Member | None
    ) -> None:
        if not reply.text:
            return
        to = partner.name if partner else self._player_name
        said_in = {channel.conversation.id} if channel else set()
        reply.utterance = Utterance(speaker=member.name, to=(to,), text=reply.text, said_in=said_in)
        # Whoever spoke heard itself, also where it has left meanwhile.
        hearers = [one for one in self.members if one.is_present or one is member]
        await self.hearing.spread(reply.utterance, hearers)

    async def _among(self, member: Member, partner: Member, utterance: Utterance) -> Channel:
        """The member's conversation with another, who is its player; told of everything but what is said in it now."""
        channel = member.among.get(partner.id)
        if channel is None:
            # What is done for the player is not done for another character: no action is offered.
            conversation = await self._client.open(
                member.id, player_id=partner.id, player_name=partner.name, state=self._state, actions=()
            )
            channel = Channel(conversation=conversation, num_told=max(0, len(member.heard) - MAX_RETOLD))
            member.among[partner.id] = channel
            if self._controls:
                await conversation.set_controls(self._controls)
        utterance.said_in.add(channel.conversation.id)
        await self.hearing.catch_up(member, channel)
        return channel

    async def _enter(self, member: Member) -> None:
        """Somebody is there from now on."""
        if member.own is None:
            conversation = await self._client.open(
                member.id,
                player_id=self._player_id,
                player_name=self._player_name,
                state=self._state,
                actions=self._actions if self._actions is not None else ["*"],
            )
            member.own = Channel(conversation=conversation)
            member.greeting = conversation.greeting
            if self._controls:
                await conversation.set_controls(self._controls)
        member.is_present = True

    async def _greet(self, member: Member) -> None:
        if member.own is not None and member.greeting.strip():
            to, said_in = (self._player_name,), {member.own.conversation.id}
            greeting = Utterance(speaker=member.name, to=to, text=member.greeting, said_in=said_in)
            await self.hearing.spread(greeting, self.present)

    async def _known(self) -> dict[str, str]:
        return {entry.id: entry.name for entry in await self._client.characters()}


def _unknown(character: str, names: Mapping[str, str]) -> UnknownCharacter:
    return UnknownCharacter(f"no character {character[:60]!r}", hint=f"loaded are: {', '.join(names) or 'none'}")
