"""A dialogue that plays written scripts, a server that runs it on a real socket, and a bare socket client."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass

import msgpack
import zmq

from npc_engine.actions.declare import declared_actions
from npc_engine.config import EngineConfig
from npc_engine.dialogue.events import ActionCall, Sentence, Token, TurnEnd
from npc_engine.dialogue.overrides import ControlsInForce, read_overrides
from npc_engine.errors import InvalidState, NothingToUndo, Overloaded, UnknownActionCall, UnknownCharacter
from npc_engine.protocol.messages import PROTOCOL_VERSION
from npc_engine.server.server import Server
from npc_engine.sheets.controls import ControlOverrides

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Character:
    id: str
    name: str
    role: str


class ScriptedConversation:
    """What it says depends on the line's first word; see `_script`."""

    def __init__(self, conversation_id, greeting):
        self.id = conversation_id
        self.greeting = greeting
        self.state = {}
        self.heard_events = []
        self.lines = []
        self.controls = ControlOverrides()
        self.heard_with = None
        self.closed = threading.Event()
        self.speaking = threading.Event()
        self.ended = threading.Event()
        self._cancelled = asyncio.Event()
        self._is_running = False
        self._result = None

    async def say(self, text, *, controls, seed):
        word = text.split()[0]
        self.heard_with = (read_overrides(controls or {}), seed)
        if word == "busy":
            raise Overloaded("no room", retry_after_s=2.5, hint="later")
        self._is_running = True
        self._cancelled.clear()
        try:
            async for event in self._script(word, text):
                if self._cancelled.is_set() and word != "stubborn":
                    break
                yield event
            if word != "mute":
                reason = "cancelled" if self._cancelled.is_set() else "stop"
                spoken = "" if reason == "cancelled" else text
                trace = {"stages": [1.5, None, True]} if word != "broken-trace" else {"stages": object()}
                self.lines.append(text)
                yield TurnEnd(text=spoken, finish_reason=reason, source="model", trace=trace)
        finally:
            self._is_running = False
            self.ended.set()

    async def _script(self, word, text):
        self.speaking.set()
        match word:
            case "wait":
                yield Token(text="Hm")
                await self._cancelled.wait()
            case "stubborn":
                yield Token(text="No")
                await asyncio.Event().wait()
            case "endless" | "flood":
                piece = "la " if word == "endless" else "la" * 30_000
                while not self._cancelled.is_set():
                    yield Token(text=piece)
                    await asyncio.sleep(0)
            case "act":
                self._result = asyncio.get_running_loop().create_future()
                arguments = {"item": "sword", "price": 12}
                yield ActionCall(call_id="call-1", name="sell", arguments=arguments, idempotency_key="k1", cost=2.5)
                cancelled = asyncio.ensure_future(self._cancelled.wait())
                await asyncio.wait([self._result, cancelled], return_when=asyncio.FIRST_COMPLETED)
                cancelled.cancel()
                if self._result.done():
                    yield Sentence(index=0, text=f"Result: {self._result.result()}")
                self._result = None
            case "boom":
                yield Token(text="Oh")
                raise RuntimeError("the secret reason")
            case "mute" | "broken-trace":
                yield Token(text="...")
            case _:
                for piece in text.split(" "):
                    yield Token(text=f"{piece} ")
                yield Sentence(index=0, text=text)

    def cancel(self):
        self._cancelled.set()
        return self._is_running

    def action_result(self, call_id, result, error):
        if self._result is None or call_id != "call-1":
            raise UnknownActionCall(f"nothing waits for {call_id!r}")
        self._result.set_result(result if error is None else error)

    def world_event(self, text, game_time):
        self.heard_events.append((text, game_time))

    def set_state(self, changes):
        if "trust" in changes and not isinstance(changes["trust"], int):
            raise InvalidState("trust: a whole number is required")
        self.state |= changes

    def set_controls(self, changes):
        self.controls = self.controls.changed(read_overrides(changes))
        return ControlsInForce.of(self.controls)

    def undo(self, turns):
        if turns > len(self.lines):
            raise NothingToUndo("too many")
        del self.lines[-turns:]
        return len(self.lines)

    def close(self):
        assert not self.closed.is_set(), "closed twice"
        assert not self._is_running, "closed in mid-turn"
        self.closed.set()


class ScriptedDialogue:
    def __init__(self):
        self.conversations = []
        self.started = False
        self.closed = threading.Event()

    async def start(self):
        self.started = True

    async def aclose(self):
        self.closed.set()

    def characters(self):
        return (Character("mara", "Mara", "weapon merchant"), Character("tobin", "Tobin", "innkeeper"))

    def open_conversation(self, character_id, *, player_id, player_name, state, actions, declare_actions):
        if character_id not in ("mara", "tobin"):
            raise UnknownCharacter(f"no character {character_id!r}", hint="ask list_characters")
        conversation = ScriptedConversation(f"c{len(self.conversations)}", f"Well met, {player_name or player_id}.")
        conversation.set_state(state)
        conversation.actions = (actions, declared_actions(declare_actions))
        self.conversations.append(conversation)
        return conversation

    def health(self):
        return {"model": "scripted", "provider": "none"}

    def metrics_text(self):
        return "# scripted\n"


class RunningServer:
    """A server in a thread of its own, on a free port."""

    def __init__(self, config):
        self.config = config
        self.dialogue = ScriptedDialogue()
        self.report = None
        self._server = None
        self._loop = None
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        assert self._is_up.wait(PATIENCE_S)
        return self

    def __exit__(self, *_):
        self.stop()
        self.join()

    @property
    def address(self):
        return self._server.address

    @property
    def websocket_address(self):
        return self._server.websocket_address

    def stop(self):
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._server.stop)

    def join(self):
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def conversation(self, conversation_id):
        return next(each for each in self.dialogue.conversations if each.id == conversation_id)

    def _run(self):
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._server = Server(self.dialogue, config=self.config)
        await self._server.startup()
        self._is_up.set()
        await self._server.serve()
        self.report = await self._server.shutdown()


def free_port_config(**settings):
    return EngineConfig(**({"address": "tcp://127.0.0.1:0", "shutdown_grace_s": 0.2} | settings))


class BareClient:
    """A DEALER socket and msgpack, nothing of ours in between."""

    def __init__(self, address, **options):
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = int(PATIENCE_S * 1000)
        for name, value in options.items():
            setattr(self.socket, name, value)
        self.socket.connect(address)
        self._next_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Disconnect without a word."""
        self._context.destroy(linger=0)

    def send(self, kind, **fields):
        self._next_id += 1
        self.socket.send(msgpack.packb({"kind": kind, "request_id": self._next_id, **fields}))
        return self._next_id

    def receive(self):
        return msgpack.unpackb(self.socket.recv())

    def ask(self, kind, **fields):
        """The first reply to this request; earlier messages of other requests are skipped."""
        request_id = self.send(kind, **fields)
        while True:
            reply = self.receive()
            if reply["request_id"] == request_id:
                return reply

    def ask_raw(self, *frames):
        self.socket.send_multipart(frames)
        return self.receive()

    def until(self, kind):
        """The next message of this kind."""
        while True:
            reply = self.receive()
            if reply["kind"] == kind:
                return reply

    def hello(self):
        reply = self.ask("hello", protocol_version=PROTOCOL_VERSION)
        assert reply["kind"] == "welcome"
        return self

    def open(self, character_id="mara", player_id="ada"):
        return self.ask("open_conversation", character_id=character_id, player_id=player_id)["conversation_id"]
