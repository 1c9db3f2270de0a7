"""The asyncio game client; the blocking client's shape with `await`.

    async with AsyncClient("tcp://127.0.0.1:5570") as client:
        async with await client.open("weapon_merchant", player_id="ada") as talk:
            async for event in talk.say("What do you sell?"):
                ...

Nothing here waits for ever: an answer has `timeout_s`, a turn's next event the server's turn deadline
more, and a server that dies ends every wait at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from npc_engine.client.connection import Connection
from npc_engine.client.curve import CurveKeys
from npc_engine.client.turn import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_S,
    A,
    ActionFailed,
    Event,
    TurnProgress,
    expect,
    offered,
    spoken,
    timed_out,
)
from npc_engine.errors import ConnectionLost, NpcEngineError
from npc_engine.protocol import messages
from npc_engine.protocol.messages import ActionCall, ControlsSet, Sentence, TurnEnd, Undone

OnAsyncAction = Callable[[ActionCall], Awaitable[Mapping[str, Any]]]

_Replies = asyncio.Queue[messages.Reply | NpcEngineError]


class AsyncClient:
    """A connection to a server. Connects on entering its `async with` block, or by `connect`.

    Args:
        address: The server's address.
        timeout_s: How long one answer may take.
        keys: For a server with CURVE keys.

    For one event loop, of any kind. Conversations run side by side; each has one turn at a time.
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, timeout_s: float = DEFAULT_TIMEOUT_S, keys: CurveKeys | None = None
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._keys = keys
        self._connection: Connection | None = None
        self._welcome: messages.Welcome | None = None

    async def __aenter__(self) -> AsyncClient:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def welcome(self) -> messages.Welcome:
        """What the server said at `hello`: its version and limits.

        Raises:
            ConnectionLost: Not connected.
        """
        if self._welcome is None:
            raise ConnectionLost(
                "this client is not connected", hint="use it in an `async with` block, or call connect()"
            )
        return self._welcome

    async def connect(self) -> None:
        """Connect and say hello; again after `close` or ConnectionLost.

        Raises:
            RequestTimeout: No server answered.
            UnsupportedVersion: The server speaks another protocol version.
            ConnectionLost: The server refused the keys, or the address is not one.
        """
        await self.close()
        self._connection = Connection(self._address, keys=self._keys)
        hello = {"protocol_version": messages.PROTOCOL_VERSION, "client": "npc_engine.client.AsyncClient"}
        try:
            self._welcome = await self.request("hello", hello, messages.Welcome)
        except BaseException:
            await self.close()
            raise
        self._connection.configure(self._welcome.limits)

    async def close(self) -> None:
        """Say bye and disconnect; conversations end. Does nothing when not connected."""
        connection, self._connection, self._welcome = self._connection, None, None
        if connection is not None:
            with suppress(ConnectionLost):
                connection.submit("bye", {})
            await asyncio.to_thread(connection.close)

    async def characters(self) -> list[messages.CharacterEntry]:
        """Who can be talked to."""
        return (await self.request("list_characters", {}, messages.Characters)).characters

    async def open(
        self,
        character_id: str,
        *,
        player_id: str,
        player_name: str | None = None,
        state: Mapping[str, Any] | None = None,
        on_action: OnAsyncAction | None = None,
        actions: Sequence[str] | None = None,
        declare_actions: Sequence[Mapping[str, Any]] = (),
    ) -> AsyncConversation:
        """Open a conversation.

        Args:
            character_id: One of `characters()`.
            player_id: The game's stable id of the player.
            player_name: How the character may address the player.
            state: The game's state now.
            on_action: Runs each action the character asks for and returns its result; raises ActionFailed for one
                that did not happen. Without it, answer ActionCall events in the loop.
            actions: The sheet's actions that this game runs. None: all of them with `on_action`, none without.
            declare_actions: Actions of the game's own, as docs/protocol.md lists their keys.

        Raises:
            UnknownCharacter, UnknownAction, InvalidAction, InvalidState, TooManyConversations, Overloaded: Nothing was
                opened.
        """
        fields: dict[str, Any] = {
            "character_id": character_id,
            "player_id": player_id,
            "player_name": player_name,
            "state": dict(state or {}),
            "actions": offered(actions, has_handler=on_action is not None),
        }
        if declare_actions:
            fields["declare_actions"] = [dict(action) for action in declare_actions]
        opened = await self.request("open_conversation", fields, messages.ConversationOpened)
        return AsyncConversation(self, opened, on_action=on_action)

    async def world_event(self, text: str, *, game_time: float | None = None) -> None:
        """Tell the characters of all this client's conversations what the game knows now."""
        await self.request("world_event", {"text": text, "game_time": game_time}, messages.Ok)

    async def health(self) -> messages.HealthReport:
        """How the engine and the server are."""
        return await self.request("health", {}, messages.HealthReport)

    async def metrics(self) -> str:
        """The metrics in the Prometheus text format."""
        return (await self.request("metrics", {}, messages.MetricsReport)).text

    async def request(self, kind: str, fields: Mapping[str, Any], answer: type[A]) -> A:
        """Send any request that has one answer, and wait for it.

        Raises:
            RequestTimeout: No answer within `timeout_s`; the connection stays usable.
            ConnectionLost: Not connected, or the server is gone.
            NpcEngineError: What the server answered, by its code.
        """
        request_id, replies = self.submit(kind, fields)
        try:
            async with asyncio.timeout(self._timeout_s):
                return expect(await replies.get(), answer)
        except TimeoutError:
            raise timed_out(kind, self._address, self._timeout_s) from None
        finally:
            self.forget(request_id)

    def submit(self, kind: str, fields: Mapping[str, Any]) -> tuple[int, _Replies]:
        """Send a request; returns its id and the queue that its replies go to.

        Raises:
            ProtocolError: The message is not legal or beyond the server's limits.
            ConnectionLost: Not connected, or the server is gone.
        """
        if self._connection is None:
            raise ConnectionLost(
                "this client is not connected", hint="use it in an `async with` block, or call connect()"
            )
        replies: _Replies = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(reply: messages.Reply | NpcEngineError) -> None:
            # A loop that ended without closing its client has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(replies.put_nowait, reply)

        return self._connection.submit(kind, fields, deliver), replies

    def forget(self, request_id: int) -> None:
        """Let later replies to this request go to nobody."""
        if self._connection is not None:
            self._connection.forget(request_id)

    @property
    def event_timeout_s(self) -> float:
        """How long a turn may be silent: the server ends every turn by its deadline."""
        return self.welcome.limits.turn_deadline_s + self._timeout_s

    @property
    def address(self) -> str:
        """The server's address."""
        return self._address


class AsyncConversation:
    """One player and one character. `AsyncClient.open` makes it; it closes with its `async with` block."""

    def __init__(
        self, client: AsyncClient, opened: messages.ConversationOpened, *, on_action: OnAsyncAction | None = None
    ) -> None:
        self.id = opened.conversation_id
        self.greeting = opened.greeting
        self._client = client
        self._on_action = on_action
        self._is_closed = False

    async def __aenter__(self) -> AsyncConversation:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def say(self, text: str, *, controls: Mapping[str, Any] | None = None, seed: int | None = None) -> AsyncTurn:
        """The player speaks; iterate over the turn, or `finish()` it.

        Args:
            text: The player's line.
            controls: Controls of this turn alone, as `set_controls` takes them.
            seed: What the turn draws by, 0 to 2^32 - 1: the same seed after the same talk draws alike.

        Raises:
            TextTooLong, TurnInProgress, Overloaded, ConversationClosed, InvalidControls: While iterating; the turn is
                over.
        """
        return AsyncTurn(self._client, self, spoken(text, controls, seed), on_action=self._on_action)

    async def answer(self, call: ActionCall, result: Mapping[str, Any]) -> None:
        """Say what an action did.

        Raises:
            UnknownActionCall: Nobody waits for it any more.
        """
        await self._request("action_result", {"call_id": call.call_id, "result": dict(result)})

    async def refuse(self, call: ActionCall, reason: str) -> None:
        """Say why an action did not happen, in words the character may use.

        Raises:
            UnknownActionCall: Nobody waits for it any more.
        """
        await self._request("action_result", {"call_id": call.call_id, "error": reason})

    async def cancel(self) -> bool:
        """Stop the running turn, whose TurnEnd still arrives; False where none runs."""
        return bool((await self._request("cancel", {})).cancelled)

    async def world_event(self, text: str, *, game_time: float | None = None) -> None:
        """Tell this character what the game knows now."""
        await self._request("world_event", {"text": text, "game_time": game_time})

    async def set_state(self, changes: Mapping[str, Any]) -> None:
        """Change the game's state as this character sees it.

        Raises:
            InvalidState: Nothing has changed.
        """
        await self._request("set_state", {"changes": dict(changes)})

    async def set_controls(self, controls: Mapping[str, Any]) -> ControlsSet:
        """Change how the character talks in this conversation, from the next turn on; also while a turn runs.

        Args:
            controls: The controls that change; None gives one back to the sheet and the engine.

        Returns:
            What this conversation sets now, and by route the values in force.

        Raises:
            InvalidControls: Nothing has changed.
        """
        fields = {"conversation_id": self.id, "controls": dict(controls)}
        return await self._client.request("set_controls", fields, ControlsSet)

    async def undo(self, turns: int = 1) -> int:
        """Take back the last turns; returns how many are left that can be taken back.

        Raises:
            TurnInProgress: The character is still answering.
            NothingToUndo: There are fewer; nothing has changed.
        """
        fields = {"conversation_id": self.id, "turns": turns}
        return (await self._client.request("undo", fields, Undone)).remaining

    async def close(self) -> None:
        """Close the conversation; a running turn is cancelled. Does nothing the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        # With the connection, the conversation is gone already.
        with suppress(ConnectionLost):
            await self._client.request("close_conversation", {"conversation_id": self.id}, messages.ConversationClosed)

    async def _request(self, kind: str, fields: Mapping[str, Any]) -> messages.Ok:
        return await self._client.request(kind, {"conversation_id": self.id, **fields}, messages.Ok)


class AsyncTurn:
    """One turn as it arrives: an asynchronous iterator of Token, Sentence, ActionCall and, last, TurnEnd."""

    def __init__(
        self,
        client: AsyncClient,
        conversation: AsyncConversation,
        fields: Mapping[str, Any],
        *,
        on_action: OnAsyncAction | None = None,
    ) -> None:
        self._client = client
        self._conversation = conversation
        self._on_action = on_action
        self._progress = TurnProgress()
        self._request_id, self._replies = client.submit("say", {"conversation_id": conversation.id, **fields})

    @property
    def text(self) -> str:
        """The reply: whole once the turn has ended, as far as it was heard before."""
        return self._progress.text

    @property
    def end(self) -> TurnEnd | None:
        """The TurnEnd, once it has arrived."""
        return self._progress.end

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._progress.is_over:
            raise StopAsyncIteration
        timeout_s = self._client.event_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._replies.get()
        except TimeoutError:
            self._client.forget(self._request_id)
            raise self._progress.fail(timed_out("say", self._client.address, timeout_s)) from None
        event = self._progress.take(reply)
        if self._on_action is not None and isinstance(event, ActionCall):
            await self._run_action(self._on_action, event)
        return event

    async def sentences(self) -> AsyncIterator[str]:
        """The reply, sentence by sentence."""
        async for event in self:
            if isinstance(event, Sentence):
                yield event.text

    async def finish(self) -> TurnEnd:
        """Hear the turn to its end.

        Raises:
            NpcEngineError: The error that ended it instead, also when it was raised before.
        """
        async for _ in self:
            pass
        return self._progress.finished()

    async def cancel(self) -> TurnEnd:
        """Stop the turn and hear it to its end; what was heard before stays."""
        if not self._progress.is_over:
            await self._conversation.cancel()
        return await self.finish()

    async def _run_action(self, on_action: OnAsyncAction, call: ActionCall) -> None:
        try:
            result = await on_action(call)
        except ActionFailed as failure:
            await self._conversation.refuse(call, failure.reason)
        else:
            await self._conversation.answer(call, result)
