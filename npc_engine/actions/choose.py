"""The model's part of a choice: how likely it writes each action's name, `none` included, and an action's arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from npc_engine.actions.ranking import ChoiceWeights
from npc_engine.actions.schema import call_schema
from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sampler import SamplingParams
from npc_engine.sheets.action_spec import ACTION_KEY, NO_ACTION, ActionSpec

MAX_CALL_TOKENS = 192


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen. `action` is None for `none`."""

    action: ActionSpec | None
    arguments: dict[str, Any] = field(default_factory=dict)


class ActionChooser:
    """Asks the model about actions.

    Args:
        engine: Runs the model.
        compiler: Compiles grammars for the engine's model.
        weights: How the evidence is weighed; may be set anew between turns.

    Attributes:
        weights: As above.
    """

    def __init__(
        self, engine: InferenceEngine, compiler: ConstraintCompiler, weights: ChoiceWeights | None = None
    ) -> None:
        self.weights = weights or ChoiceWeights()
        self._engine = engine
        self._compiler = compiler

    def check(self, actions: Sequence[ActionSpec]) -> None:
        """Compile each action's grammar.

        Raises:
            InvalidConstraint: An action's schema does not compile.
        """
        for action in actions:
            self._compiler.json_schema(call_schema(action))

    async def name_logprobs(
        self,
        prompt_ids: Sequence[int],
        actions: Sequence[ActionSpec],
        *,
        conversation_id: str | None,
        adapter: str | None = None,
    ) -> dict[str, float]:
        """Natural-log probability that the model writes each action's name, and `none`, after the prompt.

        Unconstrained: what the model would rather write than any of them lowers all alike.

        Args:
            prompt_ids: A prompt that ends where the JSON begins.
            actions: The actions the prompt shows.
            conversation_id: Whose KV slot to use; None uses one that is free.
            adapter: The character's, so that the talk's cached tokens are used.
        """
        begun = {action.name: "," if action.parameters else "}" for action in actions} | {NO_ACTION: "}"}
        scores = await self._engine.score(
            prompt_ids,
            [self._encode(f'{{"{ACTION_KEY}":"{name}"{after}') for name, after in begun.items()],
            conversation_id=conversation_id,
            adapter=adapter,
        )
        return dict(zip(begun, scores, strict=True))

    async def arguments(
        self, prompt_ids: Sequence[int], action: ActionSpec, *, conversation_id: str, adapter: str | None = None
    ) -> dict[str, Any] | None:
        """Decode an action's arguments, greedily, within what it declares.

        Args:
            prompt_ids: A prompt that ends where the JSON begins.
            action: The action, with the parameters that are to be decoded.
            conversation_id: Whose KV slot to use.
            adapter: As in `name_logprobs`.

        Returns:
            None where the token limit cut the call off: no call is safer than half of one.
        """
        if not action.parameters:
            return {}
        constraint = self._compiler.json_schema(call_schema(action))
        params = SamplingParams(temperature=0, max_new_tokens=MAX_CALL_TOKENS, constraint=constraint)
        text = ""
        deltas = self._engine.generate(prompt_ids, params, conversation_id=conversation_id, adapter=adapter)
        async for delta in deltas:
            text += delta.text
        try:
            call: dict[str, Any] = json.loads(text)
        except ValueError:
            return None
        del call[ACTION_KEY]
        return call

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._engine.tokenizer.encode(text, add_special_tokens=False).ids
        return ids
