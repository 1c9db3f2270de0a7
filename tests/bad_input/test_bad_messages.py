"""Wrong messages, as a game's programmer meets them: bytes on a real socket, a coded error back, everyone talks on."""

import asyncio
from contextlib import aclosing

import msgpack
import pytest
from tokenizers import Tokenizer

from npc_engine.client import Client
from npc_engine.config import EngineConfig
from npc_engine.errors import ConnectionLost, DeadlineExceeded, InvalidConstraint, NpcEngineError, RequestTimeout
from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sampler import SamplingParams
from tests.bad_input.conftest import PIECES
from tests.scripted import BareClient, RunningServer, free_port_config
from tests.talk import RING, SETTINGS

MAP = {"kind": "health", "request_id": 1}

FRAMES = {
    "msgpack garbage": (b"\xc1\xff\x00", "NPC201", "not a msgpack message"),
    "nothing": (b"", "NPC201", "not a msgpack message"),
    "JSON": (b'{"kind": "health", "request_id": 1}', "NPC201", "not a msgpack message"),
    "a list": (msgpack.packb(["health"]), "NPC201", "a message is a msgpack map, not list"),
    "a message cut short": (msgpack.packb(MAP)[:-1], "NPC201", "incomplete"),
    "text that is not UTF-8": (b"\x82\xa4kind\xa6health\xa4name\xa2\xff\xfe", "NPC201", "utf-8"),
    "binary data": (msgpack.packb(MAP | {"x": b"raw"}), "NPC201", "bytes has no place in a message"),
    "a key twice": (b"\x82\xa4kind\xa6health\xa4kind\xa3bye", "NPC201", "same key twice"),
    "not a number": (msgpack.packb(MAP | {"x": float("nan")}), "NPC201", "NaN or infinite"),
    "a map that promises four billion items": (b"\xdf\xff\xff\xff\xff", "NPC201", "not a msgpack message"),
    "a hundred thousand maps in each other": (b"\x81\xa1x" * 100_000 + b"\xc0", "NPC201", ""),
    "no kind": (msgpack.packb({"request_id": 1}), "NPC202", "kind: a text is required"),
    "no request id": (msgpack.packb({"kind": "health"}), "NPC202", "health.request_id: Field required"),
    "ten megabytes": (msgpack.packb(MAP | {"kind": "say", "text": "x" * 10_000_000}), "NPC206", "at most 1048576"),
}

TALK = {"conversation_id": "TALK"}
MARA = {"character_id": "mara", "player_id": "ben"}
REQUESTS = {
    "an empty say": ("say", TALK | {"text": ""}, "NPC202", "say.text: String should have at least 1 character"),
    "a say of blanks": ("say", TALK | {"text": " \n\t"}, "NPC300", "the text is empty"),
    "a say that is too long": ("say", TALK | {"text": "x" * 2001}, "NPC305", "2001 characters; at most 2000"),
    "a wrong type": ("say", TALK | {"text": 5}, "NPC202", "say.text: Input should be a valid string"),
    "a missing field": ("say", TALK, "NPC202", "say.text: Field required"),
    "an extra field": ("say", TALK | {"text": "Hi", "mood": 1}, "NPC202", "say.mood: Extra inputs"),
    "an unknown kind": ("dance", {}, "NPC203", "unknown kind 'dance'"),
    "a kind of the server": ("turn_end", {}, "NPC203", "unknown kind 'turn_end'"),
    "a wrong protocol version": ("hello", {"protocol_version": 99}, "NPC204", "protocol version 99"),
    "a second hello": ("hello", {"protocol_version": 1}, "NPC205", "'hello' in state READY"),
    "an unknown character": ("open_conversation", MARA | {"character_id": "x"}, "NPC301", "no character 'x'"),
    "an unknown conversation": ("say", {"conversation_id": "x", "text": "Hi"}, "NPC302", "no conversation 'x'"),
    "a result nobody waits for": ("action_result", TALK | {"call_id": "x", "result": {}}, "NPC308", "'action_result'"),
    "neither result nor error": ("action_result", TALK | {"call_id": "x"}, "NPC202", "action_result"),
    "an unknown state key": ("set_state", TALK | {"changes": {"trsut": 1}}, "NPC309", "did you mean 'trust'?"),
    "a state out of range": ("set_state", TALK | {"changes": {"trust": 999}}, "NPC309", "trust: "),
    "a control out of range": ("set_controls", TALK | {"controls": {"max_words": 999}}, "NPC316", "max_words: "),
    "an unknown control": ("say", TALK | {"text": "Hi.", "controls": {"max_word": 9}}, "NPC316", "'max_words'"),
    "a control that is text": ("set_controls", TALK | {"controls": {"role_play": "high"}}, "NPC316", "role_play: "),
    "a seed of 33 bits": ("say", TALK | {"text": "Hi.", "seed": 1 << 32}, "NPC202", "say.seed"),
    "more turns than were said": ("undo", TALK | {"turns": 9}, "NPC317", "take back 9"),
    "no turn at all": ("undo", TALK | {"turns": 0}, "NPC202", "undo.turns"),
    "a declared action of a sheet's name": (
        "open_conversation",
        MARA | {"actions": ["*"], "declare_actions": [{"name": "ring_bell", "description": "Rings."}]},
        "NPC315",
        "'ring_bell'",
    ),
    "a declared action without a name": (
        "open_conversation",
        MARA | {"declare_actions": [{"description": "Rings."}]},
        "NPC315",
        "actions[0]",
    ),
    "257 declared actions": ("open_conversation", MARA | {"declare_actions": [{}] * 257}, "NPC315", "257"),
    "a state of a wrong type": ("open_conversation", MARA | {"state": {"trust": "high"}}, "NPC309", "trust: "),
    "an action the sheet lacks": ("open_conversation", MARA | {"actions": ["fly"]}, "NPC314", "has no action 'fly'"),
}


class Player(BareClient):
    """A bare client with a conversation with Mara."""

    def __enter__(self):
        reply = self.hello().ask("open_conversation", character_id="mara", player_id="ada", actions=["*"])
        self.talk = reply["conversation_id"]
        return self

    def says(self, text):
        self.send("say", conversation_id=self.talk, text=text)
        return self.until("turn_end")["text"]


@pytest.fixture
def player(server):
    with Player(server.address) as player:
        yield player


@pytest.fixture
def neighbour(server):
    """Another player, who must not notice anything."""
    with Player(server.address) as neighbour:
        yield neighbour


def check(reply, code, says):
    assert (reply["kind"], reply["code"]) == ("error", code)
    assert says in reply["message"]
    assert reply["hint"]
    assert "Traceback" not in str(reply)


def all_talk_on(*players):
    for player in players:
        assert player.says("What do you sell?") == "".join(PIECES).strip()


@pytest.mark.parametrize("what", FRAMES)
def test_a_wrong_frame(what, player, neighbour):
    frame, code, says = FRAMES[what]
    check(player.ask_raw(frame), code, says)
    all_talk_on(player, neighbour)


@pytest.mark.parametrize("what", REQUESTS)
def test_a_wrong_request(what, player, neighbour):
    kind, fields, code, says = REQUESTS[what]
    named = {name: player.talk if value == "TALK" else value for name, value in fields.items()}
    check(player.ask(kind, **named), code, says)
    all_talk_on(player, neighbour)


def test_a_say_before_hello(server, neighbour):
    with BareClient(server.address) as stranger:
        check(stranger.ask("say", conversation_id=neighbour.talk, text="Hi"), "NPC205", "'say' in state NEW")
    all_talk_on(neighbour)


def test_a_say_on_a_closed_conversation(player, neighbour):
    player.ask("close_conversation", conversation_id=player.talk)
    check(player.ask("say", conversation_id=player.talk, text="Hi"), "NPC303", "is closed")
    all_talk_on(neighbour)


def test_a_say_on_another_players_conversation(player, neighbour):
    check(player.ask("say", conversation_id=neighbour.talk, text="Hi"), "NPC302", "has no conversation")
    all_talk_on(player, neighbour)


def test_a_second_say_in_a_running_turn(player, neighbour):
    first = player.send("say", conversation_id=player.talk, text=RING)
    call = player.until("action_call")
    check(player.ask("say", conversation_id=player.talk, text="And?"), "NPC304", "'say' in state ACTING")
    player.send("action_result", conversation_id=player.talk, call_id=call["call_id"], result={})
    end = player.until("turn_end")
    assert (end["request_id"], bool(end["text"])) == (first, True)
    all_talk_on(player, neighbour)


def test_a_say_that_outgrows_the_context(player, neighbour):
    player.send("say", conversation_id=player.talk, text="鉄" * 2000)
    end = player.until("turn_end")
    # The character says one of her authored lines, and the trace says why.
    assert (end["source"], end["trace"]["error"]["code"]) == ("fallback", "NPC307")
    assert "exceed max_context_tokens" in end["trace"]["error"]["message"]
    all_talk_on(player, neighbour)


def test_an_action_answered_twice(player, neighbour):
    player.send("say", conversation_id=player.talk, text=RING)
    answer = {"conversation_id": player.talk, "call_id": player.until("action_call")["call_id"], "result": {}}
    player.send("action_result", **answer)
    player.until("turn_end")
    check(player.ask("action_result", **answer), "NPC308", "action_result")
    all_talk_on(player, neighbour)


def test_one_conversation_too_many(player, neighbour):
    assert player.ask("open_conversation", **MARA)["kind"] == "conversation_opened"
    check(player.ask("open_conversation", **MARA), "NPC310", "already holds 2 open conversations")
    all_talk_on(player, neighbour)


def test_one_client_too_many():
    with RunningServer(free_port_config(max_clients=1)) as server, BareClient(server.address) as client:
        client.hello()
        with BareClient(server.address) as late:
            refusal = late.ask("hello", protocol_version=1)
            check(refusal, "NPC306", "1 clients are connected")
            assert refusal["retry_after_s"] > 0
        assert client.ask("health")["kind"] == "health_report"


def test_a_bug_of_ours():
    with RunningServer(free_port_config()) as server, BareClient(server.address) as client:
        client.send("say", conversation_id=client.hello().open(), text="boom")
        check(client.until("error"), "NPC500", "internal error while handling request")


def test_a_server_that_is_not_there():
    with pytest.raises(RequestTimeout) as caught:
        Client("tcp://127.0.0.1:1", timeout_s=0.2).connect()
    assert (caught.value.code, "npc-engine serve" in caught.value.hint) == ("NPC311", True)


def test_an_address_that_is_none():
    with pytest.raises(ConnectionLost) as caught:
        Client("127.0.0.1:5570").connect()
    assert (caught.value.code, caught.value.hint) == ("NPC313", "for example tcp://127.0.0.1:5570")


# --- what an embedding game can do wrong without a socket --------------------------------------------------------


@pytest.fixture
def idle_engine(reciter):
    """An engine whose thread does not run, with room for one waiting request."""
    folder = reciter(*PIECES)
    config = EngineConfig(**(SETTINGS | {"max_context_tokens": 256, "max_waiting": 1}))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    engine = InferenceEngine(Decoder.load(folder, config=config), tokenizer, config=config)
    yield engine
    engine.close()


async def failure(engine, prompt_ids, params):
    async with aclosing(engine.generate(prompt_ids, params)) as deltas:
        with pytest.raises(NpcEngineError) as caught:
            await anext(deltas)
    return caught.value


async def test_a_prompt_too_long_for_the_context(idle_engine):
    error = await failure(idle_engine, [5] * 250, SamplingParams(max_new_tokens=10))
    assert (error.code, "max_context_tokens = 256" in error.message, bool(error.hint)) == ("NPC307", True, True)
    assert idle_engine.stats()["waiting"] == 0


async def test_a_full_queue(idle_engine):
    first = asyncio.create_task(anext(idle_engine.generate([5], SamplingParams())))
    await asyncio.sleep(0)
    error = await failure(idle_engine, [5], SamplingParams())
    assert (error.code, error.retry_after_s > 0) == ("NPC306", True)
    assert idle_engine.stats()["waiting"] == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_deadline_that_passes_in_the_queue(idle_engine):
    deltas = idle_engine.generate([5], SamplingParams(), deadline_s=0.0)
    waiting = asyncio.create_task(anext(deltas))
    await asyncio.sleep(0)
    idle_engine.step()
    with pytest.raises(DeadlineExceeded) as caught:
        await waiting
    assert (caught.value.code, caught.value.retry_after_s > 0) == ("NPC135", True)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("regex", "("), ("lark", "start: ("), ("json_schema", {"type": "sword"}), ("json_schema", {1}), ("choices", [])],
)
def test_a_constraint_that_does_not_compile(kind, wrong, idle_engine):
    spec = idle_engine.decoder.spec
    compiler = ConstraintCompiler(idle_engine.tokenizer, vocab_size=spec.vocab_size, eos_token_ids=spec.eos_token_ids)
    with pytest.raises(InvalidConstraint) as caught:
        getattr(compiler, kind)(wrong)
    assert (caught.value.code, bool(caught.value.hint)) == ("NPC312", True)
