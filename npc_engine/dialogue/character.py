"""A loaded character: the sheet with everything built from it once, shared by all its conversations."""

from __future__ import annotations

from npc_engine.actions.choose import ActionChooser
from npc_engine.dialogue.grounding import Grounder
from npc_engine.dialogue.prompt import PromptBuilder
from npc_engine.dialogue.route import Router
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
        max_context_tokens: int,
    ) -> None:
        self.sheet = sheet
        self.engine = engine
        self.encoder = encoder
        self.chooser = chooser
        self.prompts = PromptBuilder(sheet, tokenizer, max_context_tokens=max_context_tokens)
        self.grounder = Grounder(sheet, encoder)
        self.router = Router(sheet, encoder)
        if sheet.actions:
            # Most turns see all actions or one of them; what is compiled here is not compiled inside a reply.
            chooser.compile(sheet.actions)
            for action in sheet.actions:
                chooser.compile([action])

    async def warm(self) -> None:
        """Prefill the stable part of the prompt and keep it as a snapshot that every conversation forks."""
        await self.engine.warm_prefix(self.prompts.stable_ids, key=self.sheet.id)
