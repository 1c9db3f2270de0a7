"""A loaded character: the sheet with everything built from it once, shared by all its conversations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npc_engine.actions.choose import ActionChooser
from npc_engine.dialogue.grounding import Grounder
from npc_engine.dialogue.knowledge import Knowledge
from npc_engine.dialogue.prompt import PromptBuilder
from npc_engine.dialogue.route import Router
from npc_engine.guard.judge import Judge
from npc_engine.guard.strategies import Listener
from npc_engine.guard.words import stems_of
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.models.tokenizer import ChatTokenizer
from npc_engine.sheets.schema import CharacterSheet


class Character:
    """One sheet, ready to talk.

    Args:
        sheet: The character.
        engine: The dialogue model.
        encoder: The sentence encoder.
        tokenizer: The dialogue model's.
        chooser: Chooses actions.
        judge: Judges sentences.
        max_context_tokens: Length of a KV slot.

    Raises:
        ConfigError: The sheet's stable prompt leaves no room for a talk.
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
        max_context_tokens: int,
    ) -> None:
        self.sheet = sheet
        self.engine = engine
        self.encoder = encoder
        self.chooser = chooser
        self.judge = judge
        self.prompts = PromptBuilder(sheet, tokenizer, max_context_tokens=max_context_tokens)
        self.grounder = Grounder(sheet, encoder)
        self.router = Router(sheet, encoder)
        self.knowledge = Knowledge(sheet, self.grounder, encoder)
        self.stable_text = engine.tokenizer.decode(list(self.prompts.stable_ids), skip_special_tokens=True)
        self.signature = stems_of((*sheet.personality.catchphrases, *sheet.personality.quirks))
        self.listener: Listener | None = None
        if sheet.actions:
            # Most turns see all actions or one of them; what is compiled here is not compiled inside a reply.
            chooser.compile(sheet.actions)
            for action in sheet.actions:
                chooser.compile([action])

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(n_statements, hidden_size) float32: what the sheet says, for others' imaginary listeners."""
        return self.knowledge.embeddings

    def tell_apart_from(self, others: Sequence[Character]) -> None:
        """Give the character a listener who knows these others, for `guard = "self_conscious"`."""
        self.listener = Listener(self.embeddings, [other.embeddings for other in others])

    async def warm(self) -> None:
        """Prefill the stable part of the prompt and keep it as a snapshot that every conversation forks."""
        await self.engine.warm_prefix(self.prompts.stable_ids, key=self.sheet.id)
