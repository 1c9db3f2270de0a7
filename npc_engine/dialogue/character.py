"""A loaded character: the sheet with everything built from it once, shared by all its conversations."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npc_engine.actions.choose import ActionChooser
from npc_engine.actions.procedures import Procedures
from npc_engine.actions.shortlist import ActionIndex
from npc_engine.dialogue.grounding import Grounder
from npc_engine.dialogue.knowledge import Knowledge
from npc_engine.dialogue.prompt import PromptBuilder
from npc_engine.dialogue.route import Router
from npc_engine.dialogue.straying import StrayDetector, StrayExamples
from npc_engine.dialogue.voice import Voice
from npc_engine.errors import UnknownAdapter
from npc_engine.guard.judge import Judge
from npc_engine.guard.strategies import Listener
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.models.tokenizer import ChatTokenizer
from npc_engine.sheets.schema import ActionSpec, CharacterSheet

# Sets of actions, each that of some game, whose prompts are kept warm a character.
MAX_WARM_SETS = 4


class Character:
    """One sheet, ready to talk.

    Args:
        sheet: The character.
        engine: The dialogue model.
        encoder: The sentence encoder.
        tokenizer: The dialogue model's.
        chooser: Chooses actions.
        judge: Judges sentences.
        stray_examples: Lines that leave the talk.
        max_context_tokens: Length of a KV slot.

    Raises:
        ConfigError: The sheet's stable prompt leaves no room for a talk.
        UnknownAdapter: The dialogue model lacks the adapter that the sheet's voice names.
        InvalidConstraint: An action's schema does not compile.
    """

    def __init__(
        self,
        sheet: CharacterSheet,
        *,
        engine: InferenceEngine,
        encoder: SentenceEncoder,
        tokenizer: ChatTokenizer,
        chooser: ActionChooser,
        judge: Judge,
        stray_examples: StrayExamples,
        max_context_tokens: int,
    ) -> None:
        self.sheet = sheet
        self.adapter = sheet.voice.adapter
        if self.adapter is not None and self.adapter not in engine.decoder.spec.adapters:
            raise _lacks(sheet.id, self.adapter, engine.decoder.spec.adapters)
        self.engine = engine
        self.encoder = encoder
        self.chooser = chooser
        self.judge = judge
        self.prompts = PromptBuilder(sheet, tokenizer, max_context_tokens=max_context_tokens)
        self.grounder = Grounder(sheet, encoder)
        self.router = Router(sheet, encoder)
        self.knowledge = Knowledge(sheet, self.grounder, encoder)
        self.stable_text = engine.tokenizer.decode(list(self.prompts.stable_ids), skip_special_tokens=True)
        self.voice = Voice(sheet)
        self.straying = StrayDetector(sheet, stray_examples)
        self.catchphrase_ids = tuple(
            tuple(engine.tokenizer.encode(text, add_special_tokens=False).ids)
            for phrase in sheet.personality.catchphrases
            for plain in (phrase.rstrip(".!?"), phrase[:1].lower() + phrase[1:].rstrip(".!?"))
            for text in (plain, f" {plain}")
        )
        self.listener: Listener | None = None
        self.actions = sheet.resolved_actions()
        self.procedures = Procedures(sheet.procedures)
        self._indexes: OrderedDict[tuple[ActionSpec, ...], ActionIndex] = OrderedDict()
        self._index_lock = asyncio.Lock()
        self._warm_sets: dict[tuple[ActionSpec, ...], str] = {}
        chooser.check(self.actions)

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(n_statements, hidden_size) float32: what the sheet says, for others' imaginary listeners."""
        return self.knowledge.embeddings

    async def action_index(self, offered: tuple[ActionSpec, ...]) -> ActionIndex:
        """What these actions are found by: the sheet's own was encoded when it loaded, a game's own is kept."""
        own = self.router.index
        if all(action in own.actions for action in offered):
            return own
        async with self._index_lock:
            if offered not in self._indexes:
                self._indexes[offered] = await ActionIndex.abuild(offered, self.encoder)
                if len(self._indexes) > MAX_WARM_SETS:
                    self._indexes.popitem(last=False)
            return self._indexes[offered]

    def tell_apart_from(self, others: Sequence[Character]) -> None:
        """Give the character a listener who knows these others, for `guard = "self_conscious"`."""
        self.listener = Listener(self.embeddings, [other.embeddings for other in others])

    async def warm(self) -> None:
        """Prefill what begins every prompt and keep it as a snapshot that every conversation forks."""
        await self.engine.warm_prefix(self.prompts.stable_ids, key=self.sheet.id, adapter=self.adapter)
        await self.warm_actions(self.actions)

    async def warm_actions(self, offered: tuple[ActionSpec, ...]) -> None:
        """The same for talks in which the game runs these actions.

        Snapshots of the last `MAX_WARM_SETS` sets are kept.
        """
        listed = self.prompts.listed(offered)
        if not listed:
            return
        if listed not in self._warm_sets:
            if len(self._warm_sets) >= MAX_WARM_SETS:
                oldest = next(iter(self._warm_sets))
                self.engine.drop_prefix(self._warm_sets.pop(oldest))
            taken = set(self._warm_sets.values())
            keys = (f"{self.sheet.id} with actions {number}" for number in range(MAX_WARM_SETS))
            self._warm_sets[listed] = next(key for key in keys if key not in taken)
            await self.engine.warm_prefix(
                self.prompts.stable(offered), key=self._warm_sets[listed], adapter=self.adapter
            )


def _lacks(sheet_id: str, adapter: str, installed: tuple[str, ...]) -> UnknownAdapter:
    return UnknownAdapter(
        f"{sheet_id}: voice.adapter: the dialogue model has no adapter {adapter!r}",
        hint=f"it has: {', '.join(installed)}"
        if installed
        else f"it has none: npc-engine models import SOURCE --name NAME --adapters {adapter}=FOLDER, then model = NAME",
    )
