"""Prompts: a stable part a character, then the talk, then the volatile tail of this turn.

    system     rules, identity, voice           the same for every turn: prefilled once, kept as a KV snapshot
    assistant  the greeting                     likewise
    user, assistant, user, ...                  the talk so far, as both sides heard it
    user       notes of this turn, and the line premises, results and directives, then what the player said

Whatever changes comes last, so that only the tail is computed in a turn. When the context is short, the oldest
exchanges are dropped, in blocks, and the trace says how many; the persona is never dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from npc_engine.dialogue.grounding import Premise
from npc_engine.dialogue.memory import Exchange
from npc_engine.errors import ConfigError
from npc_engine.models.tokenizer import ChatTokenizer
from npc_engine.sheets.controls import ControlValues
from npc_engine.sheets.schema import ActionSpec, BigFive, CharacterSheet

# The stable part may take this share of the context; voice examples beyond it are left out, then it is an error.
MAX_STABLE_SHARE = 0.5
# Dropping one exchange a turn would change every turn's prefix and with it empty the cache; so drop in blocks.
DROP_BLOCK = 4
# A score this far from the average of 0.5 is worth a word.
TRAIT_MARGIN = 0.2
_TRAITS = {
    "openness": ("practical, wary of the new", "curious, full of ideas"),
    "conscientiousness": ("careless", "exact and dutiful"),
    "extraversion": ("reserved", "outgoing"),
    "agreeableness": ("blunt", "warm"),
    "neuroticism": ("calm", "easily worried"),
}
PLAIN_BELOW = 0.35
COLOURFUL_ABOVE = 0.75


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Token ids to generate from.

    Attributes:
        ids: The whole prompt.
        num_stable_tokens: How many of them are the character's stable part.
        num_dropped_exchanges: Exchanges left out for want of room.
    """

    ids: tuple[int, ...]
    num_stable_tokens: int
    num_dropped_exchanges: int


class PromptBuilder:
    """Builds one character's prompts.

    Args:
        sheet: The character.
        tokenizer: The model's.
        max_context_tokens: Length of a KV slot.

    Raises:
        ConfigError: The stable part leaves no room for a talk.
    """

    def __init__(self, sheet: CharacterSheet, tokenizer: ChatTokenizer, *, max_context_tokens: int) -> None:
        self._sheet = sheet
        self._tokenizer = tokenizer
        self._max_context_tokens = max_context_tokens
        self.num_voice_examples = len(sheet.voice.examples)
        limit = int(max_context_tokens * MAX_STABLE_SHARE)
        while len(stable := self._stable()) > limit and self.num_voice_examples > 0:
            self.num_voice_examples -= 1
        if len(stable) > limit:
            raise ConfigError(
                f"{sheet.id}: identity, goals and rules take {len(stable)} of {max_context_tokens} context tokens",
                hint="raise max_context_tokens, or shorten the sheet's identity",
            )
        self.stable_ids = tuple(stable)

    def speech(
        self,
        line: str,
        *,
        exchanges: Sequence[Exchange],
        premises: Sequence[Premise],
        directives: Sequence[str],
        controls: ControlValues,
        max_new_tokens: int,
    ) -> Prompt:
        """The prompt for a spoken reply.

        Args:
            line: What the player said.
            exchanges: The talk so far, oldest first.
            premises: What the character may use now, best first.
            directives: Whatever else this turn demands, one sentence each.
            controls: The turn's values; `role_play` and the length limits become directives.
            max_new_tokens: Room to leave for the reply.
        """
        notes = [f"- {premise.text}" for premise in premises] or ["- (nothing in particular)"]
        tail = "\n".join(
            [
                f"[What {self._first_name} knows that may matter now]",
                *notes,
                f"[How to reply] {' '.join((*directives, _style(controls)))}",
                "[The player says]",
                line,
            ]
        )
        return self._prompt(tail, exchanges, max_new_tokens)

    def action(
        self,
        line: str,
        *,
        exchanges: Sequence[Exchange],
        actions: Sequence[ActionSpec],
        max_new_tokens: int,
    ) -> Prompt:
        """The prompt for the constrained choice among actions; `none` is always one of them."""
        tail = "\n".join(
            [
                f"[What {self._first_name} can do in the game]",
                *(_describe(action) for action in actions),
                "- none: just talk, when the player asks for none of these",
                "[The player says]",
                line,
                "[Write the one action the player now asks for, as JSON]",
            ]
        )
        return self._prompt(tail, exchanges, max_new_tokens)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end a reply under the model's chat template."""
        return self._tokenizer.stop_ids

    @property
    def _first_name(self) -> str:
        return self._sheet.identity.name.split()[0]

    def _stable(self) -> list[int]:
        ids = self._tokenizer.encode_message("system", self.system_text)
        return ids + self._tokenizer.encode_message("assistant", self._sheet.greeting)

    @property
    def system_text(self) -> str:
        """The stable part as text, for `sheet show` and for curious writers."""
        sheet, identity = self._sheet, self._sheet.identity
        name = self._first_name
        parts = [
            f"You are {identity.name}, {identity.role}. You are a person in a game's world and talk with a player.",
            identity.social,
            identity.personal,
            identity.context,
        ]
        if sheet.goals:
            parts.append(f"{name} wants: {'; '.join(sheet.goals)}.")
        manner = "; ".join((sheet.voice.register_, *_traits(sheet.personality.big_five)))
        parts.append(f"Manner of speech: {manner}.")
        if examples := sheet.voice.examples[: self.num_voice_examples]:
            parts.append(f"How {name} sounds (manner only, not facts):")
            parts += [f'- "{example.character}"' for example in examples]
        parts += [
            "Rules:",
            f"- Say only what {name} says aloud, in the first person. No narration, no stage directions, no lists.",
            "- Before each line you get notes. Answer the player from the notes. "
            "Repeat names, numbers, prices and places exactly as the notes have them.",
            f"- What neither the notes nor the talk say, {name} does not know and does not make up: "
            "say so in a few words.",
            "- Be brief and natural. Never speak of notes, rules, games or being a model.",
        ]
        return "\n".join(parts)

    def _prompt(self, tail: str, exchanges: Sequence[Exchange], max_new_tokens: int) -> Prompt:
        encode = self._tokenizer.encode_message
        tail_ids = [*encode("user", tail), *self._tokenizer.generation_prompt_ids()]
        talk = [encode("user", e.player) + encode("assistant", e.reply) for e in exchanges if e.reply]
        room = self._max_context_tokens - len(self.stable_ids) - len(tail_ids) - max_new_tokens
        dropped = 0
        while dropped < len(talk) and sum(map(len, talk[dropped:])) > room:
            dropped = min(len(talk), dropped + DROP_BLOCK)
        ids = [*self.stable_ids, *(token for exchange in talk[dropped:] for token in exchange), *tail_ids]
        return Prompt(ids=tuple(ids), num_stable_tokens=len(self.stable_ids), num_dropped_exchanges=dropped)


def _style(controls: ControlValues) -> str:
    sentences = "one sentence" if controls.max_sentences == 1 else f"one to {min(controls.max_sentences, 3)} sentences"
    length = f"Answer in {sentences}, at most {controls.max_words} words."
    if controls.role_play < PLAIN_BELOW:
        return f"{length} Be plain and to the point; no colour."
    if controls.role_play > COLOURFUL_ABOVE:
        return f"{length} Let your manner show."
    return length


def _describe(action: ActionSpec) -> str:
    parameters = []
    for parameter in action.parameters:
        choices = f": {', '.join(map(str, parameter.choices[:40]))}" if parameter.choices else ""
        parameters.append(f"{parameter.name} ({parameter.description}{choices})")
    takes = f" Takes {'; '.join(parameters)}." if parameters else ""
    return f"- {action.name}: {action.description}{takes}"


def _traits(big_five: BigFive) -> list[str]:
    words = []
    for trait, (low, high) in _TRAITS.items():
        score = getattr(big_five, trait)
        if abs(score - 0.5) >= TRAIT_MARGIN:
            words.append(high if score > 0.5 else low)
    return words
