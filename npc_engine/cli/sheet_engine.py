"""The dialogue model for the sheet commands that ask a character without a talk: answers weighed, sentences made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from npc_engine.sheets.schema import CharacterSheet

if TYPE_CHECKING:
    from npc_engine.config import EngineConfig
    from npc_engine.dialogue.prompt import PromptBuilder
    from npc_engine.inference.constraint import ConstraintCompiler
    from npc_engine.inference.engine import InferenceEngine
    from npc_engine.models.tokenizer import ChatTokenizer

# Sentences of different kinds are wanted: warmer than a reply is sampled.
TEMPERATURE = 0.9
MIN_P = 0.08
MAX_SENTENCE_TOKENS = 48


class SpeakingSheet:
    """A sheet and a running model that answers as its character.

    Args:
        prompts: The sheet's prompts: what a question is put behind.
        engine: Started.
        tokenizer: The model's.
        compiler: For the form of sentences.
    """

    def __init__(
        self,
        prompts: PromptBuilder,
        *,
        engine: InferenceEngine,
        tokenizer: ChatTokenizer,
        compiler: ConstraintCompiler,
    ) -> None:
        self._prompts = prompts
        self._engine = engine
        self._tokenizer = tokenizer
        self._compiler = compiler

    async def weigh(self, question: str, answers: Sequence[str]) -> list[float]:
        """How likely each answer is to a question.

        Returns:
            Natural-log probabilities under the model's own distribution, in the order of the answers.
        """
        continuations = [self._tokenizer.encode(answer) for answer in answers]
        return await self._engine.score(self._prompt(question), continuations, conversation_id="sheet")

    async def sentences(self, request: str, *, pattern: str, num: int, seed: int) -> list[str]:
        """Some answers to a request, each a text that the pattern matches whole.

        Args:
            request: What the character is asked for.
            pattern: A regular expression as `ConstraintCompiler.regex` takes it.
            num: How many.
            seed: Of the first; the others count up from it.
        """
        from npc_engine.inference.sampler import SamplingParams

        constraint = self._compiler.regex(pattern)
        params = [
            SamplingParams(
                temperature=TEMPERATURE,
                min_p=MIN_P,
                seed=(seed + number) & 0xFFFFFFFF,
                max_new_tokens=MAX_SENTENCE_TOKENS,
                constraint=constraint,
                stop_ids=self._tokenizer.stop_ids,
            )
            for number in range(num)
        ]
        candidates = await self._engine.candidates(self._prompt(request), params, conversation_id="sheet")
        return [" ".join(candidate.text.split()) for candidate in candidates if candidate.finish_reason == "stop"]

    def _prompt(self, text: str) -> tuple[int, ...]:
        tail = [*self._tokenizer.encode_message("user", text), *self._tokenizer.generation_prompt_ids()]
        return (*self._prompts.stable_ids, *tail)


@asynccontextmanager
async def speaking(sheet: CharacterSheet, settings: EngineConfig) -> AsyncIterator[SpeakingSheet]:
    """Load the dialogue model of the settings and let the sheet's character speak until the block ends.

    Raises:
        ModelError: The model is not installed, or does not load.
        ConfigError: The sheet's stable prompt does not fit the context, or the model is of another kind.
    """
    from npc_engine.dialogue.prompt import PromptBuilder
    from npc_engine.errors import ConfigError
    from npc_engine.inference.constraint import ConstraintCompiler
    from npc_engine.inference.decoder import Decoder
    from npc_engine.inference.engine import InferenceEngine
    from npc_engine.models.installed import find_installed
    from npc_engine.models.tokenizer import ChatTokenizer

    model = find_installed(settings.model, settings.cache_dir)
    if model.kind != "decoder":
        raise ConfigError(
            f"model = {settings.model!r} is of kind {model.kind}, not a dialogue model",
            hint="`npc-engine models list` shows the kind of each",
        )
    tokenizer = ChatTokenizer.load(model.path)
    decoder = Decoder.load(model.path, config=settings)
    engine = InferenceEngine(decoder, tokenizer.raw, config=settings)
    prompts = PromptBuilder(sheet, tokenizer, max_context_tokens=decoder.kv.max_context_tokens)
    compiler = ConstraintCompiler(
        tokenizer.raw,
        vocab_size=decoder.spec.vocab_size,
        eos_token_ids=sorted({*decoder.spec.eos_token_ids, *tokenizer.stop_ids}),
    )
    engine.start()
    try:
        yield SpeakingSheet(prompts, engine=engine, tokenizer=tokenizer, compiler=compiler)
    finally:
        engine.close()
