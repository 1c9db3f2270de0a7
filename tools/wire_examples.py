"""The examples behind tests/wire/ and docs/protocol.md: messages, odd but legal encodings, and frames to refuse."""

from __future__ import annotations

import msgpack

from npc_engine.protocol import codec, messages
from npc_engine.protocol.messages import PROTOCOL_VERSION, Message

_LIMITS = codec.Limits()
_TALK = "7f3a"
_CONTROLS = {
    "role_play": 0.9,
    "max_words": 20,
    "max_sentences": 3,
    "quirk_budget": 1,
    "cooldown_turns": 4,
    "trait_saturation": 0.35,
    "task_priority": 0.5,
    "synchrony": 0.3,
}
_LONG_LINE = "The road from the coast was long, and I have questions about everything I saw. " * 4

# The first example of each kind is also the one in the document.
EXAMPLES: tuple[tuple[str, Message], ...] = (
    ("hello", messages.Hello(request_id=1, protocol_version=PROTOCOL_VERSION, client="my game 1.0")),
    ("list_characters", messages.ListCharacters(request_id=2)),
    (
        "open_conversation",
        messages.OpenConversation(
            request_id=3,
            character_id="weapon_merchant",
            player_id="ada",
            player_name="Ada",
            state={"trust": 40, "place": "market"},
            actions=["sell_item"],
        ),
    ),
    ("say", messages.Say(request_id=4, conversation_id=_TALK, text="What does the short sword cost?")),
    ("cancel", messages.Cancel(request_id=5, conversation_id=_TALK)),
    (
        "action_result",
        messages.ActionResult(request_id=6, conversation_id=_TALK, call_id="a1", result={"sold": True, "price": 12}),
    ),
    ("world_event", messages.WorldEvent(request_id=7, text="The north gate has fallen.", game_time=812.5)),
    (
        "set_state",
        messages.SetState(request_id=8, conversation_id=_TALK, changes={"trust": 45, "flags": {"met_guard": True}}),
    ),
    (
        "set_controls",
        messages.SetControls(
            request_id=13, conversation_id=_TALK, controls={"max_words": 20, "role_play": 0.9, "synchrony": None}
        ),
    ),
    ("undo", messages.Undo(request_id=14, conversation_id=_TALK)),
    ("close_conversation", messages.CloseConversation(request_id=9, conversation_id=_TALK)),
    ("health", messages.Health(request_id=10)),
    ("metrics", messages.Metrics(request_id=11)),
    ("bye", messages.Bye(request_id=12)),
    (
        "welcome",
        messages.Welcome(
            request_id=1,
            protocol_version=PROTOCOL_VERSION,
            engine_version="0.1.0",
            limits=messages.ConnectionLimits(
                max_frame_bytes=1048576,
                max_message_depth=16,
                max_text_chars=2000,
                max_conversations=256,
                client_timeout_s=600.0,
                turn_deadline_s=60.0,
                action_timeout_s=10.0,
            ),
        ),
    ),
    (
        "characters",
        messages.Characters(
            request_id=2,
            characters=[messages.CharacterEntry(id="weapon_merchant", name="Mara", role="weapon merchant")],
        ),
    ),
    (
        "conversation_opened",
        messages.ConversationOpened(request_id=3, conversation_id=_TALK, greeting="Steel or gossip?"),
    ),
    ("token", messages.Token(request_id=4, conversation_id=_TALK, text=" twelve")),
    ("sentence", messages.Sentence(request_id=4, conversation_id=_TALK, index=0, text="It costs twelve silver.")),
    (
        "action_call",
        messages.ActionCall(
            request_id=4,
            conversation_id=_TALK,
            call_id="a1",
            name="sell_item",
            arguments={"item": "short sword", "quantity": 1},
            idempotency_key="5f0c1a",
            cost=2.5,
        ),
    ),
    (
        "turn_end",
        messages.TurnEnd(
            request_id=4,
            conversation_id=_TALK,
            text="It costs twelve silver.",
            finish_reason="stop",
            source="model",
            trace={"time_to_first_token_s": 0.25, "premises": ["price_short_sword"]},
        ),
    ),
    ("conversation_closed", messages.ConversationClosed(request_id=9, conversation_id=_TALK)),
    ("ok", messages.Ok(request_id=5, cancelled=True)),
    (
        "controls_set",
        messages.ControlsSet(
            request_id=13,
            conversation_id=_TALK,
            controls={name: None for name in _CONTROLS} | {"max_words": 20, "role_play": 0.9},
            in_force={"small_talk": _CONTROLS, "task": _CONTROLS | {"quirk_budget": 0}},
        ),
    ),
    ("undone", messages.Undone(request_id=14, conversation_id=_TALK, remaining=3)),
    (
        "health_report",
        messages.HealthReport(
            request_id=10,
            engine={"model": "base", "provider": "CPUExecutionProvider"},
            server={"num_clients": 1, "num_conversations": 2, "num_running_turns": 0, "is_stopping": False},
        ),
    ),
    ("metrics_report", messages.MetricsReport(request_id=11, text="# TYPE npc_turns_total counter\n")),
    (
        "error",
        messages.Error(
            request_id=4,
            code="NPC306",
            message="64 requests are waiting",
            hint="try again later",
            retry_after_s=1.5,
        ),
    ),
    # Shapes that a codec gets wrong.
    ("the largest request id", messages.Health(request_id=messages.MAX_REQUEST_ID)),
    ("request id zero", messages.Health(request_id=0)),
    (
        "text of two, three and four bytes a character",
        messages.Token(request_id=200, conversation_id=_TALK, text="éß 剣 🗡️"),
    ),
    ("text of more than 31 bytes", messages.Say(request_id=70000, conversation_id=_TALK, text=_LONG_LINE[:40])),
    ("text of more than 255 bytes", messages.Say(request_id=300, conversation_id=_TALK, text=_LONG_LINE)),
    ("text with a line break, a quote and a zero", messages.Token(request_id=4, conversation_id=_TALK, text='"\n\0')),
    ("empty text", messages.ConversationOpened(request_id=3, conversation_id=_TALK, greeting="")),
    (
        "every kind of data",
        messages.SetState(
            request_id=8,
            conversation_id=_TALK,
            changes={
                "nothing": None,
                "yes": True,
                "no": False,
                "small": -1,
                "negatives": [-32, -33, -128, -129, -32769, -2147483649],
                "positives": [127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296],
                "half": 0.5,
                "tenth": 0.1,
                "list": [],
                "map": {},
                "deep": {"a": [{"b": [1]}]},
            },
        ),
    ),
    (
        "more than 15 items",
        messages.SetState(
            request_id=8,
            conversation_id=_TALK,
            changes={"numbers": list(range(20)), "names": {f"name_{number}": number for number in range(20)}},
        ),
    ),
    (
        "an action that failed",
        messages.ActionResult(request_id=6, conversation_id=_TALK, call_id="a1", error="sold out"),
    ),
    ("a world event for one", messages.WorldEvent(request_id=7, conversation_id=_TALK, text="It rains.")),
    (
        "a line with controls and the largest seed",
        messages.Say(
            request_id=4,
            conversation_id=_TALK,
            text="And the long one?",
            controls={"max_words": 12},
            seed=messages.MAX_SEED,
        ),
    ),
    (
        "an action that the game declares",
        messages.OpenConversation(
            request_id=3,
            character_id="weapon_merchant",
            player_id="ada",
            declare_actions=[
                {
                    "name": "open_gate",
                    "description": "Opens one of the town's gates.",
                    "parameters": {
                        "type": "object",
                        "properties": {"gate": {"type": "string", "enum": ["north", "south"]}},
                        "required": ["gate"],
                    },
                    "examples": ["Let me out by the north gate."],
                    "cost": 2.5,
                }
            ],
        ),
    ),
    (
        "an action call without a key or a cost",
        messages.ActionCall(request_id=4, conversation_id=_TALK, call_id="a2", name="nod", arguments={}),
    ),
    ("an error of no request", messages.Error(request_id=None, code="NPC201", message="not msgpack", hint="")),
    (
        "a cancelled turn",
        messages.TurnEnd(
            request_id=4, conversation_id=_TALK, text="", finish_reason="cancelled", source="none", trace={}
        ),
    ),
)

_HEALTH = messages.Health(request_id=1)
_EVENT = messages.WorldEvent(request_id=7, text="It rains.", game_time=2.0)

# Legal encodings that this codec does not write itself.
ALTERNATIVES: tuple[tuple[str, bytes, Message], ...] = (
    (
        "wide headers",
        b"\xdf\0\0\0\x02\xdb\0\0\0\x04kind\xda\0\x06health\xd9\x0arequest_id\xcf" + b"\0" * 7 + b"\x01",
        _HEALTH,
    ),
    ("a signed request id", b"\x82\xa4kind\xa6health\xaarequest_id\xd3" + b"\0" * 7 + b"\x01", _HEALTH),
    ("another order of fields", msgpack.packb({"request_id": 1, "kind": "health"}), _HEALTH),
    (
        "optional fields left out",
        msgpack.packb({"kind": "world_event", "request_id": 7, "text": "It rains.", "game_time": 2.0}),
        _EVENT,
    ),
    (
        "an integer where a float is meant",
        msgpack.packb({"kind": "world_event", "request_id": 7, "text": "It rains.", "game_time": 2}),
        _EVENT,
    ),
    (
        "a float of 32 bits",
        b"\x84\xa4kind\xabworld_event\xaarequest_id\x07\xa4text\xa9It rains.\xa9game_time\xca\x40\0\0\0",
        _EVENT,
    ),
)

# What either side must refuse, with the code; sent to a server after `hello`.
REFUSED: tuple[tuple[str, bytes, str], ...] = (
    ("nothing", b"", "NPC201"),
    ("a byte that msgpack never uses", b"\xc1", "NPC201"),
    ("an array", msgpack.packb(["health", 1]), "NPC201"),
    ("nil", b"\xc0", "NPC201"),
    ("cut short", codec.pack(_HEALTH, _LIMITS)[:-1], "NPC201"),
    ("bytes behind the map", codec.pack(_HEALTH, _LIMITS) + b"\0", "NPC201"),
    ("a second message behind the first", codec.pack(_HEALTH, _LIMITS) * 2, "NPC201"),
    ("text that is not UTF-8", b"\x82\xa4kind\xa6health\xaarequest_id\xa2\xff\xfe", "NPC201"),
    ("a surrogate in UTF-8", b"\x81\xa4kind\xa3\xed\xa0\x80", "NPC201"),
    ("binary data", msgpack.packb({"kind": b"health"}), "NPC201"),
    ("an extension type", msgpack.packb({"kind": msgpack.ExtType(1, b"x")}), "NPC201"),
    ("a timestamp", msgpack.packb({"kind": msgpack.Timestamp(1)}), "NPC201"),
    ("a key that is a number", msgpack.packb({1: 2}), "NPC201"),
    ("a key that is binary", b"\x81\xc4\x04kind\xa6health", "NPC201"),
    ("a key twice", b"\x82\xa4kind\xa6health\xa4kind\xa6health", "NPC201"),
    ("NaN", b"\x81\xa1x\xcb\x7f\xf8\0\0\0\0\0\0", "NPC201"),
    ("infinity", b"\x81\xa1x\xca\x7f\x80\0\0", "NPC201"),
    ("an integer beyond 64 signed bits", b"\x81\xa1x\xcf" + b"\xff" * 8, "NPC201"),
    ("a map that promises 4294967295 entries", b"\xdf\xff\xff\xff\xff", "NPC201"),
    ("17 maps in one another", b"\x81\xa1x" * 17 + b"\xc0", "NPC201"),
    ("5000 arrays in one another", b"\x81\xa1x" + b"\x91" * 5000 + b"\xc0", "NPC201"),
    ("an array of 4097 items", msgpack.packb({"x": [0] * 4097}), "NPC201"),
    ("no kind", msgpack.packb({"request_id": 1}), "NPC202"),
    ("a kind that is a number", msgpack.packb({"kind": 1, "request_id": 1}), "NPC202"),
    ("no request id", msgpack.packb({"kind": "health"}), "NPC202"),
    ("a negative request id", msgpack.packb({"kind": "health", "request_id": -1}), "NPC202"),
    ("a request id beyond 2^53 - 1", msgpack.packb({"kind": "health", "request_id": 1 << 53}), "NPC202"),
    ("a request id that is true", msgpack.packb({"kind": "health", "request_id": True}), "NPC202"),
    ("a request id that is a float", msgpack.packb({"kind": "health", "request_id": 1.0}), "NPC202"),
    ("an unknown field", msgpack.packb({"kind": "health", "request_id": 1, "loud": True}), "NPC202"),
    ("a missing field", msgpack.packb({"kind": "say", "request_id": 1, "text": "Hi"}), "NPC202"),
    ("an unknown kind", msgpack.packb({"kind": "dance", "request_id": 1}), "NPC203"),
    ("a kind of the other direction", msgpack.packb({"kind": "welcome", "request_id": 1}), "NPC203"),
    (
        "another version, with fields of its own",
        msgpack.packb({"kind": "hello", "request_id": 1, "protocol_version": 2, "features": ["sound"]}),
        "NPC204",
    ),
)
