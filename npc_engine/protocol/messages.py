"""Every message of the wire as a frozen model, and the two tables from kind to model.

Knows nothing of bytes (`codec.py`), of order (`turn_state.py`) or of sockets. docs/protocol.md's
reference is generated from these models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError, model_validator

from npc_engine.errors import InvalidMessage, UnknownKind, UnsupportedVersion

PROTOCOL_VERSION = 1

# The largest integer that a double holds exactly, so that JavaScript and GDScript clients can count too.
MAX_REQUEST_ID = (1 << 53) - 1
MAX_ID_CHARS = 128
MAX_NAME_CHARS = 200
MAX_REASON_CHARS = 2000
MAX_SEED = (1 << 32) - 1

RequestId = Annotated[int, Field(ge=0, le=MAX_REQUEST_ID)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)]
Line = Annotated[str, StringConstraints(min_length=1)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON_CHARS)]
Data = dict[str, JsonValue]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
NumTurns = Annotated[int, Field(ge=1)]

FinishReason = Literal["stop", "length", "cancelled", "guard"]
ReplySource = Literal["model", "fallback", "none"]

_MAX_LISTED_PROBLEMS = 5


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Message(_Strict):
    """What both directions share."""

    kind: str


M = TypeVar("M", bound=Message)


# --- client to server --------------------------------------------------------------------------


class Request(Message):
    """A message of the client; every reply to it names its `request_id`."""

    request_id: RequestId = Field(description="chosen by the client; not reused while its request is open")


class Hello(Request):
    """Opens the connection; must be the first message."""

    kind: Literal["hello"] = "hello"
    protocol_version: int = Field(description="the version the client speaks")
    client: Name = Field("", description="what the client is, for the server's log")


class ListCharacters(Request):
    """Asks who can be talked to."""

    kind: Literal["list_characters"] = "list_characters"


class OpenConversation(Request):
    """Opens a conversation between one player and one character."""

    kind: Literal["open_conversation"] = "open_conversation"
    character_id: Id = Field(description="a character of `characters`")
    player_id: Id = Field(description="the game's stable id of the player")
    player_name: Name | None = Field(None, description="how the character may address the player")
    state: Data = Field({}, description="the game's state now, as in `set_state`")
    actions: list[Id] = Field(
        [], description="the sheet's actions that this game runs, or `*` for all; others are never called"
    )
    declare_actions: list[Data] = Field(
        [], description="actions of the game's own that this character may use besides, below"
    )


class CloseConversation(Request):
    """Closes a conversation; a running turn is cancelled and ends first."""

    kind: Literal["close_conversation"] = "close_conversation"
    conversation_id: Id = Field(description="an open conversation of this client")


class Say(Request):
    """The player speaks; the character's turn begins."""

    kind: Literal["say"] = "say"
    conversation_id: Id = Field(description="an open conversation of this client")
    text: Line = Field(description="the player's line, at most `max_text_chars`")
    controls: Data | None = Field(None, description="controls of this turn alone, as in `set_controls`")
    seed: Seed | None = Field(None, description="what the turn draws by: the same seed after the same talk draws alike")


class Cancel(Request):
    """Stops the running turn, whose `turn_end` still arrives with `finish_reason` `cancelled`."""

    kind: Literal["cancel"] = "cancel"
    conversation_id: Id = Field(description="an open conversation of this client")


class ActionResult(Request):
    """The game's answer to an `action_call`: exactly one of `result` and `error` is set."""

    kind: Literal["action_result"] = "action_result"
    conversation_id: Id = Field(description="the conversation of the `action_call`")
    call_id: Id = Field(description="the `call_id` of the `action_call`")
    result: Data | None = Field(None, description="what happened")
    error: Reason | None = Field(None, description="why it did not happen, in words the character may use")

    @model_validator(mode="after")
    def _one_outcome(self) -> ActionResult:
        if (self.result is None) == (self.error is None):
            raise ValueError("exactly one of result and error must be set")
        return self


class WorldEvent(Request):
    """Tells characters something that the game knows now."""

    kind: Literal["world_event"] = "world_event"
    conversation_id: Id | None = Field(None, description="who hears it; nil means all of this client's conversations")
    text: Line = Field(description="one sentence, at most `max_text_chars`")
    game_time: float | None = Field(None, description="the game's clock, in the game's own unit")


class SetState(Request):
    """Changes the game's state as the character sees it (trust, quests, place, flags)."""

    kind: Literal["set_state"] = "set_state"
    conversation_id: Id = Field(description="an open conversation of this client")
    changes: Data = Field(description="the names that change, with their new values")


class SetControls(Request):
    """Changes how the character talks in this conversation, from the next turn on; a running turn is left as it is."""

    kind: Literal["set_controls"] = "set_controls"
    conversation_id: Id = Field(description="an open conversation of this client")
    controls: Data = Field(description="the controls that change; nil gives one back to the sheet and the engine")


class Undo(Request):
    """Takes back the last turns, as if they had not been said. What the game told in between stays."""

    kind: Literal["undo"] = "undo"
    conversation_id: Id = Field(description="an open conversation of this client")
    turns: NumTurns = Field(1, description="how many")


class Health(Request):
    """Asks how the engine is; also the way to stay connected while silent."""

    kind: Literal["health"] = "health"


class Metrics(Request):
    """Asks for the metrics as text."""

    kind: Literal["metrics"] = "metrics"


class Bye(Request):
    """Ends the connection: turns are cancelled and conversations closed."""

    kind: Literal["bye"] = "bye"


# --- server to client --------------------------------------------------------------------------


class Reply(Message):
    """A message of the server."""

    request_id: RequestId | None = Field(description="the request this answers")


class Answer(Reply):
    """A reply whose request is always known."""

    request_id: RequestId = Field(description="the request this answers")


class ConnectionLimits(_Strict):
    """What this server accepts from a client."""

    max_frame_bytes: int = Field(description="largest message, bytes")
    max_message_depth: int = Field(description="deepest nesting of maps and arrays; the message itself is 1")
    max_text_chars: int = Field(description="longest player line or world event, in Unicode characters")
    max_conversations: int = Field(description="open conversations of one client")
    client_timeout_s: float = Field(description="a client silent this long, with no turn running, is dropped")
    turn_deadline_s: float = Field(description="a turn ends by then")
    action_timeout_s: float = Field(description="how long an `action_result` may take")


class Welcome(Answer):
    """Answers `hello`."""

    kind: Literal["welcome"] = "welcome"
    protocol_version: int = Field(description="the version spoken on this connection")
    engine_version: str = Field(description="version of the engine, for logs")
    limits: ConnectionLimits = Field(description="what this server accepts")


class CharacterEntry(_Strict):
    """One character in a list."""

    id: Id = Field(description="what `open_conversation` takes")
    name: str = Field(description="for display")
    role: str = Field(description="for display")


class Characters(Answer):
    """Answers `list_characters`."""

    kind: Literal["characters"] = "characters"
    characters: list[CharacterEntry] = Field(description="sorted by id")


class ConversationOpened(Answer):
    """Answers `open_conversation`."""

    kind: Literal["conversation_opened"] = "conversation_opened"
    conversation_id: Id = Field(description="names the conversation from now on")
    greeting: str = Field(description="the character's authored first line; may be empty")


class ConversationClosed(Answer):
    """Answers `close_conversation`, after the last turn has ended."""

    kind: Literal["conversation_closed"] = "conversation_closed"
    conversation_id: Id = Field(description="the conversation that is gone")


class TurnMessage(Answer):
    """A piece of a turn; `request_id` is that of its `say`."""

    conversation_id: Id = Field(description="the conversation of the `say`")


class Token(TurnMessage):
    """A piece of speech, as soon as it is safe to show."""

    kind: Literal["token"] = "token"
    text: str = Field(description="append it to what is shown")


class Sentence(TurnMessage):
    """One whole sentence of the reply, after the tokens that spell it."""

    kind: Literal["sentence"] = "sentence"
    index: int = Field(ge=0, description="0 for a reply's first sentence")
    text: str = Field(description="the sentence")


class ActionCall(TurnMessage):
    """The game is asked to run an action and to answer with `action_result`."""

    kind: Literal["action_call"] = "action_call"
    call_id: Id = Field(description="names this call in `action_result`")
    name: str = Field(description="the action's name, as the sheet or `declare_actions` has it")
    arguments: Data = Field(description="by parameter name, of the declared types")
    idempotency_key: str = Field(
        "", description="the game runs calls of one key once; the same where a call is repeated"
    )
    cost: float | None = Field(None, description="what the action declares that a call costs, in the game's own unit")


class TurnEnd(TurnMessage):
    """The last message of a turn: it is committed."""

    kind: Literal["turn_end"] = "turn_end"
    text: str = Field(description="the whole reply as the player heard it")
    finish_reason: FinishReason = Field(description="why it ended")
    source: ReplySource = Field(description="who wrote it: the model, the sheet's authored fallback, or nobody")
    trace: Data = Field(description="for tools and logs; its keys are not part of the contract")


class Ok(Answer):
    """Answers `cancel`, `action_result`, `world_event`, `set_state` and `bye`."""

    kind: Literal["ok"] = "ok"
    cancelled: bool | None = Field(None, description="for `cancel`: whether a turn was running; otherwise nil")


class ControlsSet(Answer):
    """Answers `set_controls`."""

    kind: Literal["controls_set"] = "controls_set"
    conversation_id: Id = Field(description="the conversation of the `set_controls`")
    controls: Data = Field(description="what this conversation sets now; nil where it leaves a control to the sheet")
    in_force: Data = Field(
        description="by route of a turn (`small_talk`, `task` ...): the value of every control from the next turn on"
    )


class Undone(Answer):
    """Answers `undo`."""

    kind: Literal["undone"] = "undone"
    conversation_id: Id = Field(description="the conversation of the `undo`")
    remaining: int = Field(ge=0, description="how many turns are left that can be taken back")


class HealthReport(Answer):
    """Answers `health`."""

    kind: Literal["health_report"] = "health_report"
    engine: Data = Field(description="what the engine runs on")
    server: Data = Field(description="`num_clients`, `num_conversations`, `num_running_turns`, `is_stopping`")


class MetricsReport(Answer):
    """Answers `metrics`."""

    kind: Literal["metrics_report"] = "metrics_report"
    text: str = Field(description="the Prometheus text format")


class Error(Reply):
    """A request failed, or a frame could not be read; the connection lives."""

    kind: Literal["error"] = "error"
    request_id: RequestId | None = Field(description="the request that failed; nil when the frame did not tell")
    code: str = Field(description="stable; match on this, never on `message`")
    message: str = Field(description="what is wrong, for a developer")
    hint: str = Field(description="the next step; may be empty")
    retry_after_s: float | None = Field(None, description="for `NPC306`: when to try again")


REQUESTS: Mapping[str, type[Request]] = {
    "hello": Hello,
    "list_characters": ListCharacters,
    "open_conversation": OpenConversation,
    "close_conversation": CloseConversation,
    "say": Say,
    "cancel": Cancel,
    "action_result": ActionResult,
    "world_event": WorldEvent,
    "set_state": SetState,
    "set_controls": SetControls,
    "undo": Undo,
    "health": Health,
    "metrics": Metrics,
    "bye": Bye,
}

REPLIES: Mapping[str, type[Reply]] = {
    "welcome": Welcome,
    "characters": Characters,
    "conversation_opened": ConversationOpened,
    "conversation_closed": ConversationClosed,
    "token": Token,
    "sentence": Sentence,
    "action_call": ActionCall,
    "turn_end": TurnEnd,
    "ok": Ok,
    "controls_set": ControlsSet,
    "undone": Undone,
    "health_report": HealthReport,
    "metrics_report": MetricsReport,
    "error": Error,
}


def request_id_of(fields: Mapping[str, Any]) -> int | None:
    """The request id of a message that may be wrong otherwise, or None where it has no legal one."""
    request_id = fields.get("request_id")
    # bool is an int in Python and never a request id.
    return request_id if type(request_id) is int and 0 <= request_id <= MAX_REQUEST_ID else None


def parse_request(fields: Mapping[str, Any]) -> Request:
    """Make a client's message from its decoded fields.

    Raises:
        UnknownKind: No message a client may send has this kind.
        UnsupportedVersion: A `hello` of another protocol version, whatever its other fields are.
        InvalidMessage: A field is missing, unknown, or of the wrong type or size.
    """
    model = _model(fields, REQUESTS)
    version = fields.get("protocol_version")
    # Before the fields: a later version's hello may have fields that this one does not know.
    if model is Hello and type(version) is int and version != PROTOCOL_VERSION:
        raise UnsupportedVersion(
            f"the client speaks protocol version {version}, this side speaks {PROTOCOL_VERSION}",
            hint="use a client and an engine of the same release",
        )
    return _validated(model, fields)


def parse_reply(fields: Mapping[str, Any]) -> Reply:
    """Make a server's message from its decoded fields; fields that a newer server added are left out.

    Raises:
        UnknownKind: No message a server may send has this kind.
        InvalidMessage: A field is missing, or of the wrong type or size.
    """
    return _validated(_model(fields, REPLIES), fields, extra="ignore")


def _model(fields: Mapping[str, Any], table: Mapping[str, type[M]]) -> type[M]:
    kind = fields.get("kind")
    if not isinstance(kind, str):
        raise InvalidMessage("kind: a text is required", hint='every message names its kind, such as {"kind": "hello"}')
    if kind not in table:
        raise UnknownKind(f"unknown kind {kind[:MAX_ID_CHARS]!r}", hint=f"one of: {', '.join(table)}")
    return table[kind]


def _validated(model: type[M], fields: Mapping[str, Any], *, extra: Literal["forbid", "ignore"] = "forbid") -> M:
    try:
        return model.model_validate(dict(fields), extra=extra)
    except ValidationError as error:
        # Never the input itself: it may be long, and it may be the player's.
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        listed = [
            ".".join(str(part)[:MAX_ID_CHARS] for part in (fields["kind"], *problem["loc"])) + f": {problem['msg']}"
            for problem in problems[:_MAX_LISTED_PROBLEMS]
        ]
        more = len(problems) - len(listed)
        raise InvalidMessage(
            "; ".join(listed) + (f"; and {more} more" if more else ""),
            hint="docs/protocol.md lists every message's fields",
        ) from None
