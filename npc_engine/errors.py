"""Every error npc_engine raises on purpose.

Split by who must act:

* NpcEngineError
  + ConfigError        the operator: a file, flag or device is wrong; raised at start-up
  + SheetError         the writer: a character sheet does not load; carries file, line and key path
  + ModelError         the operator: a model cannot be fetched, built, verified or loaded
  + ProtocolError      the client: a message breaks the wire contract
  + RequestError       the client: this request failed; the session goes on
  + InternalError      us: a bug; the server's edge answers with it, the traceback stays in the log

Anything else that escapes is a bug in npc_engine. `code` is stable: games match on it, never on the
message. Each code has a page in docs/errors/ with an example that a test runs.
"""

from __future__ import annotations

from pathlib import Path


class NpcEngineError(Exception):
    """Base class of all deliberate errors.

    Args:
        message: What is wrong, with the value that is wrong.
        hint: The next step for whoever must act; may be empty.
    """

    code = "NPC000"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f"\n  hint: {self.hint}" if self.hint else "")


# --- the operator: configuration ---------------------------------------------------------------


class ConfigError(NpcEngineError):
    """A setting, flag or configuration file is wrong."""

    code = "NPC001"


class DeviceUnavailable(ConfigError):
    """`device = "cuda"` was demanded and no session can get it."""

    code = "NPC002"


class UnsafeBind(ConfigError):
    """A bind address outside loopback without CURVE keys."""

    code = "NPC003"


class AddressInUse(ConfigError):
    """The server's address is taken."""

    code = "NPC004"


# --- the writer: sheets ------------------------------------------------------------------------


class SheetError(NpcEngineError):
    """A character sheet does not load.

    Args:
        message: What is wrong.
        path: The sheet's file.
        line: 1-based line, where known.
        column: 1-based column, where known.
        key: Dotted key path such as `facts[3].when`, where known.
        hint: What to write instead.
    """

    code = "NPC100"

    def __init__(
        self,
        message: str,
        *,
        path: Path | str = "",
        line: int | None = None,
        column: int | None = None,
        key: str = "",
        hint: str = "",
    ) -> None:
        place = ":".join(str(part) for part in (path, line, column) if part not in ("", None))
        located = ": ".join(part for part in (place, key, message) if part)
        super().__init__(located, hint=hint)
        self.problem = message
        self.path = Path(path) if path else None
        self.line = line
        self.column = column
        self.key = key


class SheetNotFound(SheetError):
    """No such file, or a folder without sheets."""

    code = "NPC101"


class SheetSyntax(SheetError):
    """The file is not YAML: syntax, encoding, duplicate keys, or an alias bomb."""

    code = "NPC102"


class SheetInvalid(SheetError):
    """The YAML is not a sheet: an unknown key, a missing key, a wrong type or value.

    `problems` holds one SheetError a problem; the message lists them all.
    """

    code = "NPC103"

    def __init__(
        self,
        message: str,
        *,
        problems: tuple[SheetError, ...] = (),
        path: Path | str = "",
        line: int | None = None,
        column: int | None = None,
        key: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, path=path, line=line, column=column, key=key, hint=hint)
        self.problems = problems


class SheetCondition(SheetError):
    """A condition does not parse, or names something the language does not have."""

    code = "NPC104"


class SheetVersion(SheetError):
    """The sheet's `schema` is missing or of another version."""

    code = "NPC105"


class SheetTooLarge(SheetError):
    """The file is larger than the loader accepts."""

    code = "NPC106"


class CardNotFound(SheetError):
    """No such character card, or it cannot be opened."""

    code = "NPC110"


class CardUnknown(SheetError):
    """The file holds no character card."""

    code = "NPC111"


class CardSyntax(SheetError):
    """The card's JSON cannot be read: syntax, encoding, a key twice, or a number that is none."""

    code = "NPC112"


class CardPng(SheetError):
    """A PNG is damaged, or its card's text does not decode."""

    code = "NPC113"


class CardZip(SheetError):
    """A CHARX archive is damaged, encrypted, or names files outside itself."""

    code = "NPC114"


class CardInvalid(SheetError):
    """The JSON is not a card: a field is missing or has a wrong type."""

    code = "NPC115"


class CardTooLarge(SheetError):
    """A card, or the sheet made of it, is larger or deeper than is accepted."""

    code = "NPC116"


class CardNameless(SheetError):
    """The card's name is empty, and none was given."""

    code = "NPC117"


class SheetNotWritten(SheetError):
    """A sheet's file cannot be written, or what would stand there is no sheet; every file is as it was."""

    code = "NPC118"


class SheetName(SheetError):
    """An id that the sheet does not have, or one that is taken already."""

    code = "NPC119"


class TextUnreadable(SheetError):
    """A text to extract from is missing, is no text, or says nothing."""

    code = "NPC120"


class CharacterUnclear(SheetError):
    """The texts do not tell whom they are about, or do not name who was given."""

    code = "NPC121"


class NobodyToAsk(SheetError):
    """Proposals wait for the writer's yes, and there is no terminal to ask at; nothing was written."""

    code = "NPC122"


# --- the operator: KV memory -------------------------------------------------------------------


class KvBudgetTooSmall(ConfigError):
    """`kv_budget_bytes` does not hold one sequence of `max_context_tokens`."""

    code = "NPC140"


class PrefixFilesUnavailable(ConfigError):
    """The folder of prefix files cannot be read or written; the engine goes on without it."""

    code = "NPC141"


class CorruptSnapshot(ConfigError):
    """A prefix file is cut short, altered, or not what its name says; it is deleted and computed again."""

    code = "NPC142"


# --- the operator: playtest ----------------------------------------------------------------------


class ResultsUnusable(ConfigError):
    """A results file of `npc-engine playtest` is missing, is none, or belongs to another run."""

    code = "NPC170"


class ReportNotWritten(ConfigError):
    """Results or a report of `npc-engine playtest` cannot be written."""

    code = "NPC171"


# --- the client: protocol ----------------------------------------------------------------------


class ProtocolError(NpcEngineError):
    """A message breaks the wire contract."""

    code = "NPC200"


class MalformedMessage(ProtocolError):
    """The bytes are not one msgpack map of text keys, or exceed the depth limit."""

    code = "NPC201"


class InvalidMessage(ProtocolError):
    """A field is missing, unknown, or of the wrong type or size."""

    code = "NPC202"


class UnknownKind(ProtocolError):
    """The message's `kind` is not one of the protocol's."""

    code = "NPC203"


class UnsupportedVersion(ProtocolError):
    """`hello` names a protocol version that this side does not speak."""

    code = "NPC204"


class IllegalMessage(ProtocolError):
    """The message is not legal in the connection's state (for example before `hello`)."""

    code = "NPC205"


class FrameTooLarge(ProtocolError):
    """The frame exceeds `max_frame_bytes`."""

    code = "NPC206"


# --- the client: requests ----------------------------------------------------------------------


class RequestError(NpcEngineError):
    """This request failed; the session goes on."""

    code = "NPC300"


class UnknownCharacter(RequestError):
    """No sheet with that id is loaded."""

    code = "NPC301"


class UnknownConversation(RequestError):
    """No open conversation with that id belongs to this client."""

    code = "NPC302"


class ConversationClosed(RequestError):
    """The conversation was closed; open a new one."""

    code = "NPC303"


class TurnInProgress(RequestError):
    """The conversation is still answering; cancel it or wait for `turn_end`."""

    code = "NPC304"


class TextTooLong(RequestError):
    """A text exceeds its character limit."""

    code = "NPC305"


class Overloaded(RequestError):
    """The waiting queue is full; try again after `retry_after_s`."""

    code = "NPC306"

    def __init__(self, message: str, *, retry_after_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class ContextTooLong(RequestError):
    """Prompt plus max_new_tokens exceeds the context."""

    code = "NPC307"


class UnknownActionCall(RequestError):
    """An `action_result` names a call that is not waiting for one."""

    code = "NPC308"


class UnknownAction(RequestError):
    """`open_conversation` offers an action that the character's sheet does not have."""

    code = "NPC314"


class InvalidAction(RequestError):
    """An action that the game declares at `open_conversation` cannot be used."""

    code = "NPC315"


class InvalidControls(RequestError):
    """A control is unknown, or its value has a wrong type or range."""

    code = "NPC316"


class NothingToUndo(RequestError):
    """`undo` takes back more turns than the conversation remembers."""

    code = "NPC317"


class InvalidState(RequestError):
    """The game's state (trust, quests, place, flags) has a wrong name or type."""

    code = "NPC309"


class TooManyConversations(RequestError):
    """This client holds as many open conversations as it may."""

    code = "NPC310"


class RequestTimeout(RequestError):
    """No answer came within the client's timeout; the connection stays usable."""

    code = "NPC311"


class InvalidConstraint(RequestError):
    """A grammar or JSON schema for constrained decoding does not compile."""

    code = "NPC312"


class ConnectionLost(RequestError):
    """The server closed the connection or died; its conversations are gone, connect anew."""

    code = "NPC313"


class DeadlineExceeded(Overloaded):
    """The request's deadline passed before it was given a slot; try again after `retry_after_s`."""

    code = "NPC135"


# --- the operator: models ----------------------------------------------------------------------


class ModelError(NpcEngineError):
    """A model cannot be fetched, built, verified or loaded."""

    code = "NPC400"


class UnknownModel(ModelError):
    """Neither in the catalogue nor installed."""

    code = "NPC401"


class ModelNotInstalled(ModelError):
    """In the catalogue, but not in this user's cache."""

    code = "NPC402"


class DownloadFailed(ModelError):
    """No source could deliver the file (no network, not found, refused)."""

    code = "NPC403"


class HashMismatch(ModelError):
    """A file's SHA-256 is not the pinned one; the file is not used."""

    code = "NPC404"


class DiskFull(ModelError):
    """Not enough room in the cache folder; nothing half-written is left installed."""

    code = "NPC405"


class UnsupportedArchitecture(ModelError):
    """The model's architecture is outside the Llama and Qwen families."""

    code = "NPC406"


class CorruptModel(ModelError):
    """An installed model's files are missing, cut short or altered."""

    code = "NPC407"


class InvalidModelFile(ModelError):
    """A GGUF or safetensors file cannot be read."""

    code = "NPC408"


class UnsupportedTensor(ModelError):
    """A tensor's type or shape is not one the builder handles."""

    code = "NPC409"


class UnsupportedTokenizer(ModelError):
    """The vocabulary's kind is not one the tokenizer builder handles."""

    code = "NPC410"


class ModelBusy(ModelError):
    """Another process is installing this model and did not finish in time."""

    code = "NPC411"


class InvalidModelName(ModelError):
    """A name that cannot be a model's folder, or that is taken."""

    code = "NPC412"


class ExportExtraMissing(ModelError):
    """This import goes through torch and optimum, and they are not installed."""

    code = "NPC147"


class UnsupportedLabels(ModelError):
    """A classifier's labels are not entailment, neutral and contradiction, each once."""

    code = "NPC148"


class ExportFailed(ModelError):
    """torch or optimum could not turn the model into a graph."""

    code = "NPC149"


class InvalidAdapter(ModelError):
    """A LoRA adapter's folder is incomplete, or its numbers are no adapter."""

    code = "NPC159"


class UnsupportedAdapter(ModelError):
    """An adapter is of a kind that cannot be merged, or changes more than a layer's products."""

    code = "NPC160"


class AdapterMismatch(ModelError):
    """An adapter was trained on another base model than the one it is given."""

    code = "NPC161"


class UnknownAdapter(ModelError):
    """The model has no adapter of the name that a sheet or a caller asked for."""

    code = "NPC162"


# --- us ----------------------------------------------------------------------------------------


class InternalError(NpcEngineError):
    """A bug; the server's edge logs the traceback and answers with this."""

    code = "NPC500"


# --- by code -----------------------------------------------------------------------------------


def error_class(code: str) -> type[NpcEngineError] | None:
    """The class whose `code` this is, or None."""
    waiting = [NpcEngineError]
    while waiting:
        candidate = waiting.pop()
        if candidate.code == code:
            return candidate
        waiting.extend(candidate.__subclasses__())
    return None
