"""The models that the sheet commands use where they are installed, and what is said where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from npc_engine.errors import ConfigError, ModelNotInstalled, UnknownModel
from npc_engine.sheets.lint.models import Budget, Encoder, Models, Nli
from npc_engine.sheets.schema import CharacterSheet

if TYPE_CHECKING:
    from npc_engine.config import EngineConfig
    from npc_engine.dialogue.prompt import PromptBuilder
    from npc_engine.models.tokenizer import ChatTokenizer

# Longer than any prompt: so that a sheet that is too large for its model can be measured.
_ANY_LENGTH = 1 << 24


@dataclass(frozen=True, kw_only=True)
class TokenCounter:
    """The tokenizer of an installed dialogue model.

    Attributes:
        model: Its name.
        max_context_tokens: Length of a KV slot.
        tokenizer: The tokenizer.
    """

    model: str
    max_context_tokens: int
    tokenizer: ChatTokenizer

    def prompts(self, sheet: CharacterSheet, *, max_context_tokens: int | None = None) -> PromptBuilder:
        """The sheet's prompts under this tokenizer.

        Raises:
            ConfigError: The stable part leaves no room for a talk.
        """
        from npc_engine.dialogue.prompt import PromptBuilder

        return PromptBuilder(sheet, self.tokenizer, max_context_tokens=max_context_tokens or self.max_context_tokens)

    def count(self, text: str) -> int:
        """How many tokens a text takes."""
        return len(self.tokenizer.encode(text))

    def budget(self, sheet: CharacterSheet) -> Budget:
        """What the sheet's stable prompt costs."""
        from npc_engine.dialogue.prompt import MAX_STABLE_SHARE

        roomy = self.prompts(sheet, max_context_tokens=_ANY_LENGTH)
        try:
            num_examples = self.prompts(sheet).num_examples
        except ConfigError:
            num_examples = 0
        message = self.tokenizer.encode_message
        frame = len(message("system", roomy.system_text)) + len(message("assistant", sheet.greeting))
        return Budget(
            frame_tokens=frame,
            limit_tokens=int(self.max_context_tokens * MAX_STABLE_SHARE),
            num_examples=num_examples,
            num_authored=roomy.num_examples,
            model=self.model,
        )


@dataclass(frozen=True, kw_only=True)
class SheetModels:
    """What is installed of what the sheet commands can use.

    Attributes:
        models: For lint and diff.
        counter: For token costs.
        notes: One sentence for each model that is not there: what is not checked without it.
    """

    models: Models
    counter: TokenCounter | None
    notes: tuple[str, ...]


def load_models(settings: EngineConfig, *, encoder: bool = True, nli: bool = True, counter: bool = True) -> SheetModels:
    """Load what is installed; the rest becomes a note.

    Args:
        settings: Names of the models and their cache.
        encoder: Whether the sentence encoder is wanted.
        nli: Whether the NLI model is wanted.
        counter: Whether the dialogue model's tokenizer is wanted.

    Raises:
        ModelError: A model is there and broken.
        ConfigError: A setting names a model of another kind.
    """
    notes: list[str] = []
    found_encoder = _encoder(settings, notes) if encoder else None
    found_nli = _nli(settings, notes) if nli else None
    found_counter = token_counter(settings, notes) if counter else None
    return SheetModels(
        models=Models(
            encoder=found_encoder, nli=found_nli, budget=found_counter.budget if found_counter is not None else None
        ),
        counter=found_counter,
        notes=tuple(notes),
    )


def token_counter(settings: EngineConfig, notes: list[str]) -> TokenCounter | None:
    """The tokenizer of the dialogue model, or of the first other one that is installed; a note says which."""
    from npc_engine.models.catalogue import load_catalogue
    from npc_engine.models.installed import find_installed, list_models
    from npc_engine.models.tokenizer import ChatTokenizer

    listed = list_models(settings.cache_dir, load_catalogue())
    installed = [one.name for one in listed if one.kind == "decoder" and one.state == "installed"]
    if not installed:
        notes.append("no dialogue model is installed: tokens are not counted (npc-engine models pull tiny)")
        return None
    name = settings.model if settings.model in installed else installed[0]
    if name != settings.model:
        notes.append(f"{settings.model} is not installed: tokens are those of {name}")
    return TokenCounter(
        model=name,
        max_context_tokens=settings.max_context_tokens,
        tokenizer=ChatTokenizer.load(find_installed(name, settings.cache_dir).path),
    )


def _encoder(settings: EngineConfig, notes: list[str]) -> Encoder | None:
    from npc_engine.inference.encoder import SentenceEncoder
    from npc_engine.models.installed import find_installed

    try:
        model = find_installed(settings.encoder, settings.cache_dir)
    except (ModelNotInstalled, UnknownModel):
        notes.append(f"the encoder {settings.encoder!r} is not installed: sentences are compared by their words alone")
        return None
    return SentenceEncoder.load(model.path, config=settings)


def _nli(settings: EngineConfig, notes: list[str]) -> Nli | None:
    from npc_engine.guard.nli import NliJudge
    from npc_engine.models.judge_model import load_judge_model

    try:
        return NliJudge(load_judge_model(settings), name=settings.nli)
    except (ModelNotInstalled, UnknownModel):
        notes.append(
            f"the NLI model {settings.nli!r} is not installed: contradictions and entailments are found "
            "only where words and numbers show them"
        )
        return None


def print_notes(notes: Sequence[str]) -> None:
    """Say on stderr what was not looked at."""
    from npc_engine.cli.console import err

    for note in notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
