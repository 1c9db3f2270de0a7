"""A character small enough to know by heart, and what tests do with any character: open a dialogue, say, look."""

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.dialogue.events import ActionCall, Sentence, Token, TurnEnd
from npc_engine.sheets.loader import load_sheet

MARA = """\
schema: npc-engine/character@1
id: mara
identity:
  name: Mara Holt
  role: weapon seller
  social: Known to all.
  personal: Likes iron.
  context: Works alone.
voice:
  register: short
  examples: [Good iron never lies., Mind your fingers., Steel before silver.]
facts:
  - {id: price-sword, text: A sword costs forty crowns., tags: [blade]}
  - {id: home, text: I live beside the old mill.}
  - {id: treasure, text: The hidden treasure lies under my anvil., when: trust >= 50, secret: true}
  - {id: night, text: The night watch pays double., when: hour >= 20 or flag('war')}
relationships:
  - {name: Tobin Reed, kind: brother, attitude: Misses him.}
unknown_topics:
  - {topic: dragons, keywords: [dragon], lines: [No dragons here., Never saw one.]}
  - {topic: ships, keywords: [ship]}
actions:
  - name: ring_bell
    description: rings the bell
    examples: [Ring the brass bell now]
    on_success: Say that it rang.
    on_failure: Say that it broke.
  - name: sell_sword
    description: sells swords
    examples: [Sell me two swords please]
    parameters: [{name: quantity, type: integer, description: how many, minimum: 1, maximum: 9}]
    confirm: true
  - name: open_vault
    description: opens the vault
    examples: [Open that heavy vault door]
    when: trust >= 50
controls: {max_words: 40, max_sentences: 3}
fallbacks:
  unknown: [I cannot tell., Who knows.]
  error: [Say that again., What was that.]
  refusal: [I will not.]
  out_of_world: [Strange words.]
  busy: [Not now., Wait a moment.]
greeting: Come in.
"""
RING, SELL, VAULT = "Ring the brass bell now.", "Sell me two swords, please.", "Open that heavy vault door."
# What a model prefers where the choice among her actions leaves it one; see `write_reciter`.
CALL_RING, CALL_SELL, CALL_VAULT, CALL_NONE = ('"r',), ('"s', ":2"), ('"o',), ('"n',)
# The talker's tokens are bytes: prompts are long, and cost next to nothing.
SETTINGS = {
    "threads": 1,
    "device": "cpu",
    "max_context_tokens": 12288,
    "prefill_chunk_tokens": 512,
    "prefix_store_bytes": 1 << 26,
    "seed": 1,
    # Most models here recite what no fact says; tests of the judge turn it on.
    "guard": "off",
    # What a slot holds is then what the last turn left there.
    "read_ahead": False,
}


def mara(folder, *changes):
    """Mara as the loader reads her, with (old, new) texts of her sheet replaced."""
    text = MARA
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mara.yaml"
    path.write_text(text, encoding="utf-8")
    return load_sheet(path)


@asynccontextmanager
async def talking(*sheets, model, encoder, nli=None, **settings):
    """A dialogue that runs until the block ends."""
    config = EngineConfig(**(SETTINGS | settings))
    dialogue = build_dialogue(sheets, model_folder=model, encoder_folder=encoder, config=config, nli=nli)
    await dialogue.start()
    try:
        await dialogue.warmed()
        yield dialogue
    finally:
        await dialogue.aclose()


@dataclass
class Heard:
    """Everything one turn emitted."""

    events: list = field(default_factory=list)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def spoken(self):
        return "".join(token.text for token in self.of(Token))

    @property
    def sentences(self):
        return [sentence.text for sentence in self.of(Sentence)]

    @property
    def calls(self):
        return self.of(ActionCall)

    @property
    def end(self):
        return self.events[-1]

    @property
    def trace(self):
        return self.end.trace

    @property
    def premises(self):
        return [premise["id"] for premise in self.trace["premises"]]


async def say(conversation, line, *, on_event=lambda event: None, **options):
    """Say a line and hear the turn to its end."""
    heard = Heard()
    async with aclosing(conversation.say(line, **options)) as turn:
        async for event in turn:
            heard.events.append(event)
            on_event(event)
    assert [isinstance(event, TurnEnd) for event in heard.events] == [False] * (len(heard.events) - 1) + [True]
    return heard


def answering(conversation, result=None, error=None):
    """An `on_event` that answers each action call."""

    def answer(event):
        if isinstance(event, ActionCall):
            conversation.action_result(event.call_id, result, error)

    return answer


def seen_by_model(conversation):
    """The text in the conversation's KV slot: its last prompt and reply, special tokens spelled out."""
    engine = conversation.character.engine
    (slot,) = [slot for slot in engine.decoder.kv.slots if slot.conversation_id == conversation.id]
    return engine.tokenizer.decode(list(slot.token_ids), skip_special_tokens=False)


async def at_once(*coroutines):
    """Run them side by side: each goes as far as it can before the next begins."""
    return await asyncio.gather(*coroutines)
