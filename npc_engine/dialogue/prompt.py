"""Prompts: a stable part a character, then the talk, then the volatile tail of this turn.

    system            rules and identity                     the same for every turn: prefilled once, kept as a snapshot
    user, assistant   examples, in the tail's own form       likewise
    user, assistant   the actions of the talk, the greeting  likewise, for each set of actions that a game offers
    user, assistant   the talk so far, as both heard it
    user              notes of this turn, and the line       premises, results, directives, then what the player said

Whatever changes comes last, so that only the tail is computed in a turn. When the context is short, the oldest
exchanges are dropped, in blocks, and the trace says how many; the persona is never dropped.

The examples are the sheet's own: how the character talks (`voice.examples` with a player's line), that she says so when
she knows nothing (`unknown_topics`), and that she answers from the notes (her name, her people). Given as a list of
quotes instead, a 1.5B model recites them as answers: see docs/log.md, "Voice examples are turns".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from npc_engine.dialogue.grounding import Premise
from npc_engine.dialogue.memory import Exchange
from npc_engine.errors import ConfigError
from npc_engine.models.chat_template import Role
from npc_engine.models.tokenizer import ChatTokenizer
from npc_engine.sheets.action_spec import NO_ACTION
from npc_engine.sheets.controls import ControlValues
from npc_engine.sheets.schema import ActionSpec, BigFive, CharacterSheet

# The stable part may take this share of the context; examples beyond it are left out, then it is an error.
MAX_STABLE_SHARE = 0.5
# With the actions it may take this share, which leaves ten exchanges of 2,048 tokens; else they are not in it.
MAX_STABLE_SHARE_WITH_ACTIONS = 0.7
# Examples of each kind: enough to set the form, few enough to leave the context to the talk.
MAX_UNKNOWN_EXAMPLES = 2
MAX_VOICE_EXAMPLES = 6
MAX_PEOPLE_EXAMPLES = 2
MAX_VOICE_LINES = 4
# Actions that stand in the stable part, read once; of more than these only a turn's shortlist is shown, in its tail.
MAX_LISTED_ACTIONS = 16
# Sets of actions whose stable part is kept encoded.
MAX_ACTION_SETS = 64
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
# Below this the stable part's "one to three short sentences" would mislead.
SHORT_BELOW_WORDS = 20


@dataclass(frozen=True)
class Detail:
    """How much of an action a prompt shows: the first choices of a parameter, and the first characters of a text."""

    num_choices: int
    num_chars: int


# In the stable part, which is read once; and in a tail, which is read while the player waits: the first that fits. The
# grammar has all choices in any case.
FULL_DETAIL = Detail(40, 600)
TAIL_DETAILS = (Detail(0, 120), Detail(0, 20))


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Token ids to generate from.

    Attributes:
        ids: The whole prompt.
        num_stable_tokens: How many of them are the character's stable part.
        num_dropped_exchanges: Exchanges left out for want of room.
        style: What the controls demand of the voice and the length, as it stands in the tail.
    """

    ids: tuple[int, ...]
    num_stable_tokens: int
    num_dropped_exchanges: int
    style: tuple[str, ...] = ()


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
        limit = int(max_context_tokens * MAX_STABLE_SHARE)
        opening = self._message("system", self.system_text)
        greeting = self._message("assistant", sheet.greeting)
        frame = len(opening) + len(greeting)
        if frame > limit:
            raise ConfigError(
                f"{sheet.id}: identity, goals and rules take {frame} of {max_context_tokens} context tokens",
                hint="raise max_context_tokens, or shorten the sheet's identity",
            )
        self.num_examples = 0
        examples: list[int] = []
        for example in self._examples():
            if frame + len(examples) + len(example) > limit:
                break
            examples += example
            self.num_examples += 1
        self._opening, self._greeting = (*opening, *examples), tuple(greeting)
        self.stable_ids = (*self._opening, *self._greeting)
        self._stable: dict[tuple[ActionSpec, ...], tuple[int, ...]] = {}

    def listed(self, offered: Sequence[ActionSpec]) -> tuple[ActionSpec, ...]:
        """Those of a talk's actions that its stable part names: all that have no condition, if they are few.

        What a condition hides stays out of what the model always sees.

        Args:
            offered: The actions that the game runs in the talk.
        """
        free = tuple(action for action in offered if action.when is None)
        return free if len(self._stable_of(free)) > len(self.stable_ids) else ()

    def stable(self, offered: Sequence[ActionSpec]) -> tuple[int, ...]:
        """The ids that begin every prompt of a talk in which the game runs these actions."""
        return self._stable_of(tuple(action for action in offered if action.when is None))

    def _stable_of(self, free: tuple[ActionSpec, ...]) -> tuple[int, ...]:
        if not 0 < len(free) <= MAX_LISTED_ACTIONS:
            return self.stable_ids
        if free not in self._stable:
            ids = self.stable_ids
            message = self._message("user", "\n".join(self._described(free, FULL_DETAIL)))
            if len(ids) + len(message) <= self._max_context_tokens * MAX_STABLE_SHARE_WITH_ACTIONS:
                ids = (*self._opening, *message, *self._greeting)
            if len(self._stable) >= MAX_ACTION_SETS:
                self._stable.pop(next(iter(self._stable)))
            self._stable[free] = ids
        return self._stable[free]

    def speech(
        self,
        line: str,
        *,
        exchanges: Sequence[Exchange],
        premises: Sequence[Premise],
        directives: Sequence[str],
        controls: ControlValues,
        max_new_tokens: int,
        style: Sequence[str] = (),
        offered: Sequence[ActionSpec] = (),
    ) -> Prompt:
        """The prompt for a spoken reply.

        Args:
            line: What the player said.
            exchanges: The talk so far, oldest first.
            premises: What the character may use now, best first.
            directives: Whatever else this turn demands, one sentence each.
            controls: The turn's values; `role_play` becomes a directive where it is low or high.
            max_new_tokens: Room to leave for the reply.
            style: What the other controls demand of the voice, one sentence each.
            offered: The actions that the game runs in the talk.
        """
        notes = [premise.text for premise in premises]
        demands = (*self._style(controls), *style)
        tail = self._tail(line, notes, (*directives, *demands))
        prompt = self._prompt(self.stable(offered), tail, exchanges, max_new_tokens)
        return replace(prompt, style=demands)

    def action(
        self,
        line: str,
        *,
        exchanges: Sequence[Exchange],
        actions: Sequence[ActionSpec],
        offered: Sequence[ActionSpec],
        done: Sequence[str],
        max_new_tokens: int,
    ) -> Prompt:
        """The prompt for the choice among actions; `none` is always one of them.

        Args:
            line: What the player said.
            exchanges: The talk so far, oldest first.
            actions: What there is to choose from; those that the stable part does not list are described in the tail.
            offered: The actions that the game runs in the talk.
            done: What was done for this line already, with its result, one sentence each.
            max_new_tokens: Room to leave for the call.
        """
        stable, listed = self.stable(offered), self.listed(offered)
        further = [action for action in actions if action not in listed]
        asked = [
            "[The player says]",
            line,
            *(f"[Done already: {one}]" for one in done),
            f"[Write the one action {'that is still to be done' if done else 'the player now asks for'}, or "
            f'{NO_ACTION}, as JSON; "?" for what nobody has said]',
        ]
        prompt = self._prompt(stable, "\n".join(asked), exchanges, max_new_tokens)
        for detail in TAIL_DETAILS if further else ():
            tail = "\n".join([*self._described(further, detail), *asked])
            prompt = self._prompt(stable, tail, exchanges, max_new_tokens)
            if len(prompt.ids) + max_new_tokens <= self._max_context_tokens:
                break
        return prompt

    def talk(self, exchanges: Sequence[Exchange], *, offered: Sequence[ActionSpec]) -> tuple[int, ...]:
        """What the next turn's prompt begins with, as far as it is known before the player speaks.

        Args:
            exchanges: The talk so far, oldest first.
            offered: The actions that the game runs in the talk.
        """
        stable = self.stable(offered)
        return self._with_talk(stable, exchanges, self._max_context_tokens - len(stable) - 1)[0]

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end a reply under the model's chat template."""
        return self._tokenizer.stop_ids

    @property
    def _first_name(self) -> str:
        return self._sheet.identity.name.split()[0]

    def _examples(self) -> Iterator[list[int]]:
        """Example turns as ids, the most needed first."""
        sheet, identity = self._sheet, self._sheet.identity
        topics = [topic for topic in sheet.unknown_topics if topic.examples and topic.lines]
        unknown = [(topic.examples[0], topic.lines[0]) for topic in topics]
        voice = [(example.player, example.character) for example in sheet.voice.examples if example.player]
        turns: list[tuple[str, list[str], str]] = [
            *((player, [], reply) for player, reply in unknown[:MAX_UNKNOWN_EXAMPLES]),
            *((player, [], reply) for player, reply in voice[:MAX_VOICE_EXAMPLES]),
            (
                "Who are you, and what do you do?",
                [f"I am {identity.name}, {identity.role}."],
                f"I'm {identity.name}, {identity.role}.",
            ),
            *(
                (f"Who is {person.name}?", [kin := f"{person.name} is my {person.kind}."], kin)
                for person in sheet.relationships[:MAX_PEOPLE_EXAMPLES]
            ),
        ]
        for player, notes, reply in turns:
            yield self._message("user", self._tail(player, notes, ())) + self._message("assistant", reply)

    def _described(self, actions: Sequence[ActionSpec], detail: Detail) -> list[str]:
        return [
            f"[What {self._first_name} can do in the game, when the player asks for it]",
            *(_describe(action, detail) for action in actions),
            f"- {NO_ACTION}: just talk, when the player asks for none of these",
        ]

    def _tail(self, line: str, notes: Sequence[str], directives: Sequence[str]) -> str:
        """What stands in the user's message of a turn."""
        return "\n".join(
            [
                f"[What {self._first_name} knows]",
                *(f"- {note}" for note in notes or ("nothing about this",)),
                *(f"[{directive}]" for directive in directives),
                "[The player says]",
                line,
            ]
        )

    def _style(self, controls: ControlValues) -> Iterator[str]:
        """What `role_play` and the length demand, in the tail, so that the stable part stays as it is."""
        if controls.role_play < PLAIN_BELOW:
            yield "Be plain and to the point; no colour."
        elif controls.role_play > COLOURFUL_ABOVE:
            yield f"Let {self._first_name}'s manner show: {self._sheet.voice.register_}"
        if controls.max_sentences == 1 or controls.max_words < SHORT_BELOW_WORDS:
            yield f"Answer in one sentence of at most {controls.max_words} words."

    def _message(self, role: Role, text: str) -> list[int]:
        return self._tokenizer.encode_message(role, text)

    @property
    def system_text(self) -> str:
        """The system message: rules, identity and manner."""
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
        if lines := [example.character for example in sheet.voice.examples if not example.player][:MAX_VOICE_LINES]:
            parts.append(f"Things {name} has said: {' '.join(lines)}")
        return "\n".join((*parts, "Rules:", *self.rules))

    @property
    def rules(self) -> tuple[str, ...]:
        """What the system message demands of every reply, one rule a line."""
        name = self._first_name
        sentences = "one sentence" if self._sheet.controls.max_sentences == 1 else "one to three short sentences"
        return (
            f"- Say only what {name} says aloud, in the first person. No narration, no stage directions, no lists.",
            "- Before each line you get what you know about it. Answer the player from that. "
            "Repeat names, numbers, prices and places exactly as they stand there.",
            f"- What neither that nor the talk says, {name} does not know and does not make up: say so in a few words.",
            f"- Answer in {sentences}, naturally. Never speak of notes, rules, games or being a model.",
        )

    def _prompt(self, stable: tuple[int, ...], tail: str, exchanges: Sequence[Exchange], max_new_tokens: int) -> Prompt:
        tail_ids = (*self._message("user", tail), *self._tokenizer.generation_prompt_ids())
        room = self._max_context_tokens - len(stable) - len(tail_ids) - max_new_tokens
        ids, dropped = self._with_talk(stable, exchanges, room)
        return Prompt(ids=ids + tail_ids, num_stable_tokens=len(stable), num_dropped_exchanges=dropped)

    def _with_talk(
        self, stable: tuple[int, ...], exchanges: Sequence[Exchange], room: int
    ) -> tuple[tuple[int, ...], int]:
        """The stable part and the talk's last exchanges in at most `room` tokens, and how many were dropped."""
        talk = [self._message("user", e.player) + self._message("assistant", e.reply) for e in exchanges if e.reply]
        dropped = 0
        while dropped < len(talk) and sum(map(len, talk[dropped:])) > room:
            dropped = min(len(talk), dropped + DROP_BLOCK)
        return (*stable, *(token for exchange in talk[dropped:] for token in exchange)), dropped


def _describe(action: ActionSpec, detail: Detail) -> str:
    parameters = []
    for parameter in action.parameters:
        choices = ", ".join(map(str, parameter.choices[: detail.num_choices]))
        meaning = parameter.description[: detail.num_chars]
        parameters.append(f"{parameter.name} ({meaning}{f': {choices}' if choices else ''})")
    takes = f" Takes {'; '.join(parameters)}." if parameters else ""
    return f"- {action.name}: {action.description[: detail.num_chars]}{takes}"


def _traits(big_five: BigFive) -> list[str]:
    words = []
    for trait, (low, high) in _TRAITS.items():
        score = getattr(big_five, trait)
        if abs(score - 0.5) >= TRAIT_MARGIN:
            words.append(high if score > 0.5 else low)
    return words
