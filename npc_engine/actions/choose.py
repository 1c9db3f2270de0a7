"""Which action, if any, the player's line asks for: one constrained decode over the eligible ones, `none` included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from npc_engine.actions.schema import choice_schema
from npc_engine.inference.constraint import Constraint, ConstraintCompiler
from npc_engine.inference.engine import InferenceEngine
from npc_engine.inference.sampler import SamplingParams
from npc_engine.sheets.schema import ACTION_KEY, NO_ACTION, ActionSpec

MAX_CALL_TOKENS = 96


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen. `action` is None for `none`, and where the decode ended before a whole call."""

    action: ActionSpec | None
    arguments: dict[str, Any] = field(default_factory=dict)


class ActionChooser:
    """Chooses among actions; grammars are compiled once for each set of eligible actions, when first seen or ahead.

    Args:
        engine: Runs the constrained decode.
        compiler: Compiles grammars for the engine's model.
    """

    def __init__(self, engine: InferenceEngine, compiler: ConstraintCompiler) -> None:
        self._engine = engine
        self._compiler = compiler

    def compile(self, actions: Sequence[ActionSpec]) -> Constraint:
        """Compile (or find) the grammar of a choice among these actions.

        Raises:
            InvalidConstraint: An action's schema does not compile.
        """
        return self._compiler.json_schema(choice_schema(actions))

    async def choose(self, prompt_ids: Sequence[int], actions: Sequence[ActionSpec], *, conversation_id: str) -> Choice:
        """Decode one call, greedily.

        Args:
            prompt_ids: A prompt that ends where the JSON begins.
            actions: The eligible actions, at least one.
            conversation_id: Whose KV slot to use.
        """
        params = SamplingParams(temperature=0, max_new_tokens=MAX_CALL_TOKENS, constraint=self.compile(actions))
        text = ""
        async for delta in self._engine.generate(prompt_ids, params, conversation_id=conversation_id):
            text += delta.text
        try:
            call: dict[str, Any] = json.loads(text)
        except ValueError:  # the token limit cut it off: no call is safer than half of one
            return Choice(action=None)
        name = call.pop(ACTION_KEY)
        if name == NO_ACTION:
            return Choice(action=None)
        return Choice(action=next(action for action in actions if action.name == name), arguments=call)
