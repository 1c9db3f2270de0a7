"""A server on a real socket whose characters answer as a test says, and what reached each of their conversations."""

from npc_engine.dialogue.events import TurnEnd
from npc_engine.errors import UnknownCharacter
from tests.scripted import Character, RunningServer, ScriptedConversation, ScriptedDialogue, free_port_config

CAST = (
    Character("hesta", "Hesta Varrow", "blacksmith"),
    Character("corin", "Corin Vey", "innkeeper"),
    Character("nell", "Nell Harker", "coffin maker"),
)


class CastConversation(ScriptedConversation):
    """Says what `answers` has for its character, its player and the line; else "Yes." The words of `ScriptedDialogue`
    for turns that go wrong ("busy", "boom", "wait", "act") work too, as the first word of the answer.
    """

    def __init__(self, dialogue, character, player, conversation_id):
        super().__init__(conversation_id, f"{character.name.split()[0]} here.")
        self.character, self.player, self.dialogue = character, player, dialogue
        self.asked = []

    async def say(self, text, *, controls, seed):
        self.asked.append((text, seed))
        # What it knew when it was asked.
        self.knew = [told for told, _ in self.heard_events]
        answer = self.dialogue.answer(self.character.id, self.player, text)
        async for event in super().say(answer, controls=controls, seed=seed):
            if isinstance(event, TurnEnd) and self.dialogue.premises:
                event = TurnEnd(
                    text=event.text, finish_reason=event.finish_reason, source=event.source,
                    trace={"premises": self.dialogue.premises},
                )  # fmt: skip
            yield event


class CastDialogue(ScriptedDialogue):
    def __init__(self):
        super().__init__()
        self.answers = {}
        self.premises = []

    def answer(self, character, player, line):
        for key in ((character, player, line), (character, player), (character, line), character):
            if key in self.answers:
                return self.answers[key]
        return "Yes."

    def characters(self):
        return CAST

    def open_conversation(self, character_id, *, player_id, player_name, state, actions, declare_actions):
        found = [one for one in CAST if one.id == character_id]
        if not found:
            raise UnknownCharacter(f"no character {character_id!r}", hint="ask list_characters")
        conversation = CastConversation(self, found[0], player_id, f"c{len(self.conversations)}")
        conversation.set_state(state)
        conversation.player_name, conversation.actions = player_name, actions
        self.conversations.append(conversation)
        return conversation


class CastServer(RunningServer):
    def __init__(self, **settings):
        super().__init__(free_port_config(**settings))
        self.dialogue = CastDialogue()

    def of(self, character, player="ada"):
        """The latest conversation of a character with a player."""
        found = [one for one in self.dialogue.conversations if (one.character.id, one.player) == (character, player)]
        return found[-1]

    def told(self, character, player="ada"):
        """What it was told as world events."""
        return [text for text, _ in self.of(character, player).heard_events]
