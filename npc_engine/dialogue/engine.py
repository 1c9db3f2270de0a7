"""The whole dialogue engine in one object: models, characters, open conversations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_engine import __version__
from npc_engine.actions.choose import ActionChooser
from npc_engine.config import EngineConfig
from npc_engine.dialogue.character import Character
from npc_engine.dialogue.memory import StatementStore
from npc_engine.dialogue.offers import Offer
from npc_engine.dialogue.reloading import Reload, Reloader, SheetFiles
from npc_engine.dialogue.session import Conversation
from npc_engine.dialogue.straying import StrayExamples
from npc_engine.errors import (
    ConfigError,
    ModelNotInstalled,
    NpcEngineError,
    UnknownCharacter,
    UnknownModel,
)
from npc_engine.guard.judge import Judge
from npc_engine.guard.nli import NliJudge
from npc_engine.guard.strategies import STRATEGIES
from npc_engine.guard.verdict import Nli, Thresholds
from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.metrics import Metrics
from npc_engine.models.catalogue import ModelKind
from npc_engine.models.installed import find_installed
from npc_engine.models.judge_model import load_judge_model
from npc_engine.models.tokenizer import ChatTokenizer
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.schema import CharacterSheet

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CharacterSummary:
    """A character as `list_characters` shows it."""

    id: str
    name: str
    role: str


class Dialogue:
    """Characters that talk. Build it with `load_dialogue`.

    Args:
        sheets: The characters.
        engine: The dialogue model, not started yet.
        encoder: The sentence encoder.
        tokenizer: The dialogue model's.
        config: Everything else.
        metrics: Where the engine counts.
        nli: The judge's model, for the guards that ask one; None: string rules only, and every trace says so.
    """

    def __init__(
        self,
        sheets: Sequence[CharacterSheet],
        *,
        engine: InferenceEngine,
        encoder: SentenceEncoder,
        tokenizer: ChatTokenizer,
        config: EngineConfig,
        metrics: Metrics,
        nli: Nli | None = None,
    ) -> None:
        spec = engine.decoder.spec
        compiler = ConstraintCompiler(
            tokenizer.raw,
            vocab_size=spec.vocab_size,
            eos_token_ids=sorted({*spec.eos_token_ids, *tokenizer.stop_ids}),
        )
        self._chooser = ActionChooser(engine, compiler)
        self._tokenizer = tokenizer
        is_asked = config.guard != "off" and STRATEGIES[config.guard].uses_nli
        self._judge = Judge(
            encoder, nli if is_asked else None, Thresholds(contradiction=config.contradiction_threshold)
        )
        self._statements = StatementStore()
        self._engine = engine
        self._encoder = encoder
        self._config = config
        self._metrics = metrics
        self._stray_examples = StrayExamples(encoder)
        self._characters = {sheet.id: self._built(sheet) for sheet in sheets}
        self._tell_apart()
        self._conversations: dict[str, Conversation] = {}
        # What each conversation's game runs: a changed sheet may have other actions.
        self._offers: dict[str, Offer] = {}
        self._warming: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        # What is to be warmed, in this order: a character, or what a conversation's own actions add to one.
        self._cold: list[tuple[Character, Conversation | None]] = [
            (character, None) for character in self._characters.values()
        ]
        self._warm: set[str] = set()
        self._reloader = Reloader(
            SheetFiles(
                paths=config.sheets or (shipped_sheets_dir(),),
                hashes={sheet.id: sheet.content_hash for sheet in sheets},
            ),
            build=self._built,
            put=self._put,
        )

    async def start(self) -> None:
        """Start the engine thread and begin warming the characters' prefixes in the background.

        In the order of the sheets; whoever is talked to meanwhile comes next. With `watch_sheets` changed sheets are
        taken from then on.
        """
        self._engine.start()
        self._warming = asyncio.create_task(self._warm_all())
        if self._config.watch_sheets:
            self._watching = asyncio.create_task(self._reloader.watch())

    async def warmed(self) -> None:
        """Wait until every character's prefix is warm; a conversation opened before that waits for less and less."""
        if self._warming is not None:
            await self._warming

    async def aclose(self) -> None:
        """Cancel what runs and stop the engine thread. Idempotent."""
        for conversation in list(self._conversations.values()):
            conversation.close()
        for task in (self._watching, self._warming):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await asyncio.to_thread(self._engine.close)

    async def reload(self) -> Reload:
        """Read the sheets again and put the changed ones in place; talks go on with them from their next turn."""
        return await self._reloader.reload()

    def characters(self) -> tuple[CharacterSummary, ...]:
        """Everyone who can be talked to."""
        return tuple(
            CharacterSummary(id=c.sheet.id, name=c.sheet.identity.name, role=c.sheet.identity.role)
            for c in self._characters.values()
        )

    def character(self, character_id: str) -> Character:
        """A loaded character.

        Raises:
            UnknownCharacter: No sheet with that id is loaded.
        """
        if character_id not in self._characters:
            raise UnknownCharacter(
                f"no character {character_id!r}", hint=f"loaded are: {', '.join(self._characters) or 'none'}"
            )
        return self._characters[character_id]

    def open_conversation(
        self,
        character_id: str,
        *,
        player_id: str,
        player_name: str | None = None,
        state: Mapping[str, Any] | None = None,
        actions: Sequence[str] = (),
        declare_actions: Sequence[Mapping[str, Any]] = (),
    ) -> Conversation:
        """Begin a talk.

        Args:
            character_id: Whom the player talks to.
            player_id: The game's stable id of the player.
            player_name: How the player is called.
            state: The game's state now, as conditions see it.
            actions: The sheet's actions that this game runs; `*` for all. Others are never called.
            declare_actions: Actions of the game's own that this character may use besides, as
                `npc_engine.actions.declare` reads them.

        Raises:
            UnknownCharacter: No sheet with that id is loaded.
            UnknownAction: The sheet has no such action.
            InvalidAction: A declared action cannot be used, or has the name of one of the sheet's that is offered.
            InvalidState: The state has a wrong key or value.
        """
        self._conversations = {id_: talk for id_, talk in self._conversations.items() if not talk.is_closed}
        character = self.character(character_id)
        offer = Offer(actions, declare_actions)
        given = offer.opened(character.sheet)
        self._chooser.check(offer.declared)
        self._cold.sort(key=lambda cold: cold[0] is not character)
        conversation = Conversation(
            character,
            player_id=player_id,
            player_name=player_name,
            state=GameState.parse(state or {}),
            actions=given,
            statements=self._statements.of(character_id, player_id),
            config=self._config,
        )
        if given not in ((), character.actions):
            place = sum(cold is character for cold, _ in self._cold)
            self._cold.insert(place, (character, conversation))
            self._go_on_warming()
        self._conversations[conversation.id] = conversation
        self._offers = {id_: each for id_, each in self._offers.items() if id_ in self._conversations}
        self._offers[conversation.id] = offer
        return conversation

    def health(self) -> dict[str, Any]:
        """What runs where, as the sessions really got it; plain data."""
        decoder = self._engine.decoder
        return {
            "engine_version": __version__,
            "model": self._config.model,
            "architecture": decoder.spec.architecture,
            "precision": decoder.spec.precision,
            "provider": decoder.provider,
            "device_requested": self._config.device,
            "fallback_reason": decoder.fallback_reason,
            "encoder_provider": self._encoder.provider,
            "guard": self._config.guard,
            "judge": "off" if self._config.guard == "off" else self._judge.means,
            "threads": self._config.threads,
            "characters": len(self._characters),
            "characters_warm": len(self._warm),
            "is_warming": self._warming is not None and not self._warming.done(),
            "sheet_hashes": {id_: hash_[:12] for id_, hash_ in self._reloader.hashes.items()},
            "watches_sheets": self._config.watch_sheets,
            "sheet_reloads": self._reloader.num_reloads,
            "sheet_errors": [f"{error.code}: {error.message}" for error in self._reloader.errors],
            "conversations": sum(not talk.is_closed for talk in self._conversations.values()),
            **self._engine.stats(),
        }

    def metrics_text(self) -> str:
        """All metrics in the Prometheus text format."""
        return self._metrics.render()

    def _built(self, sheet: CharacterSheet) -> Character:
        return Character(
            sheet,
            engine=self._engine,
            encoder=self._encoder,
            tokenizer=self._tokenizer,
            chooser=self._chooser,
            judge=self._judge,
            stray_examples=self._stray_examples,
            max_context_tokens=self._engine.decoder.kv.max_context_tokens,
        )

    def _tell_apart(self) -> None:
        for character in self._characters.values():
            character.tell_apart_from([other for other in self._characters.values() if other is not character])

    async def _put(self, character: Character) -> None:
        """Put a character in the place of the one with its id, or beside the others."""
        sheet = character.sheet
        self._cold = [cold for cold in self._cold if cold[0].sheet.id != sheet.id]
        self._characters[sheet.id] = character
        self._tell_apart()
        for conversation in self._conversations.values():
            if conversation.character.sheet.id == sheet.id and not conversation.is_closed:
                conversation.renew(character, self._offers[conversation.id].renewed(sheet))
        self._warm.discard(sheet.id)
        self._cold.append((character, None))
        self._go_on_warming()

    def _go_on_warming(self) -> None:
        """Warm what is cold, unless that goes on already or the engine is not started."""
        if self._cold and self._warming is not None and self._warming.done():
            self._warming = asyncio.create_task(self._warm_all())

    async def _warm_all(self) -> None:
        while self._cold:
            character, conversation = self._cold.pop(0)
            try:
                if conversation is None:
                    await character.warm()
                    self._warm.add(character.sheet.id)
                elif not conversation.is_closed:
                    await conversation.warm()
            except NpcEngineError as error:
                _log.warning("the prefix of %s is not warm: %s", character.sheet.id, error)


def load_dialogue(config: EngineConfig) -> Dialogue:
    """Load models and sheets; blocking, some seconds. Call `start` on the result inside an event loop.

    Raises:
        ConfigError: A setting does not fit, or the device cannot be had.
        SheetError: A sheet does not load.
        ModelError: A model is not installed or is corrupt.
    """
    sheets = load_sheets(config.sheets or (shipped_sheets_dir(),))
    model = _model_folder("model", config.model, "decoder", config)
    encoder = _model_folder("encoder", config.encoder, "encoder", config)
    return build_dialogue(
        list(sheets.values()), model_folder=model, encoder_folder=encoder, nli=_load_nli(config), config=config
    )


def _load_nli(config: EngineConfig) -> Nli | None:
    """The judge's model, where the guard asks one and it is installed.

    Raises:
        ConfigError: The setting names a model of another kind.
        ModelError: It is corrupt.
    """
    if config.guard == "off" or not STRATEGIES[config.guard].uses_nli:
        return None
    try:
        classifier = load_judge_model(config)
    except (ModelNotInstalled, UnknownModel):
        _log.warning(
            "guard = %s: the NLI model %r is not installed, so sentences are judged by string rules only",
            config.guard,
            config.nli,
        )
        return None
    return NliJudge(classifier, name=config.nli)


def _model_folder(setting: str, name: str, kind: ModelKind, config: EngineConfig) -> Path:
    model = find_installed(name, config.cache_dir)
    if model.kind != kind:
        raise ConfigError(
            f"{setting} = {name!r} names a model of kind {model.kind}, not {kind}",
            hint="`npc-engine models list` shows the kind of each; the usual ones are model = base, encoder = encoder",
        )
    return model.path


def build_dialogue(
    sheets: Sequence[CharacterSheet],
    *,
    model_folder: Path,
    encoder_folder: Path,
    config: EngineConfig,
    nli: Nli | None = None,
) -> Dialogue:
    """As `load_dialogue`, from loaded sheets and model folders; without `nli` the judge has string rules only."""
    metrics = Metrics()
    tokenizer = ChatTokenizer.load(model_folder)
    engine = InferenceEngine(Decoder.load(model_folder, config=config), tokenizer.raw, config=config, metrics=metrics)
    encoder = SentenceEncoder.load(encoder_folder, config=config)
    return Dialogue(
        sheets, engine=engine, encoder=encoder, tokenizer=tokenizer, config=config, metrics=metrics, nli=nli
    )
