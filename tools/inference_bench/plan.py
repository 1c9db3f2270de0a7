"""How much is measured: one table of sizes for quick looks, for small models and for large ones."""

from __future__ import annotations

from dataclasses import dataclass

# Installed weights from here on take the large plan: `tiny` has 0.1 GB, `base` 1.6 GB and more.
LARGE_MODEL_BYTES = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes of every section. `*_tokens` count tokens, the rest counts what it names.

    Attributes:
        name: For the report.
        repeats: Interleaved rounds.
        decode_batches: Rows of a decode step.
        decode_context_tokens: Tokens each row holds before its first step.
        decode_steps: Steps of one round.
        prompt_tokens: Lengths of cold prompts.
        prefix_tokens: A character's prefix.
        line_tokens: What a player's line adds to it.
        walk_characters: Characters spoken to in turn.
        walk_rounds: Interleaved rounds of the whole walk.
        cancels: Cancellations of each kind.
        cancel_prompt_tokens: Of the prompt whose prefill is cancelled.
        conversations: Open at once.
        conversation_turns: Of each; in the last the character is asked for the conversation's secret.
        crowd_characters: Whom the conversations are with.
        crowd_prefix_tokens: Prefix of each of these.
        speakers: Conversations that wait for a reply at any time.
        reply_tokens: Tokens of a reply.
        alone: Conversations that are run again alone, and at most as many more that answered wrong.
        growth_contexts: Tokens in the slot.
        growth_batches: Rows of a step.
        growth_characters: Prefixes in the store.
        growth_prefix_tokens: Of each of these.
    """

    name: str
    repeats: int = 5
    decode_batches: tuple[int, ...] = (1, 4, 8)
    decode_context_tokens: int = 128
    decode_steps: int = 32
    prompt_tokens: tuple[int, ...] = (25, 64, 256, 1024)
    prefix_tokens: int = 400
    line_tokens: int = 25
    walk_characters: int = 32
    walk_rounds: int = 2
    cancels: int = 20
    cancel_prompt_tokens: int = 1024
    conversations: int = 1000
    conversation_turns: int = 2
    crowd_characters: int = 32
    crowd_prefix_tokens: int = 400
    speakers: int = 8
    reply_tokens: int = 8
    alone: int = 20
    growth_contexts: tuple[int, ...] = (128, 256, 512, 1024, 2048, 4096)
    growth_batches: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16)
    growth_characters: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000)
    growth_prefix_tokens: int = 64


SMALL = Plan(name="full, small model")
# What a small model does in a tenth of a second takes `base` a second or two: fewer rounds, the same shapes.
LARGE = Plan(
    name="full, large model",
    repeats=3,
    walk_characters=12,
    cancels=10,
    conversations=120,
    crowd_prefix_tokens=128,
    alone=10,
    growth_batches=(1, 2, 4, 8, 16),
)
QUICK = Plan(
    name="quick",
    repeats=2,
    decode_batches=(1, 8),
    decode_steps=12,
    prompt_tokens=(25, 256),
    prefix_tokens=200,
    walk_characters=4,
    cancels=5,
    cancel_prompt_tokens=512,
    conversations=40,
    crowd_characters=4,
    crowd_prefix_tokens=128,
    alone=5,
    growth_contexts=(128, 512),
    growth_batches=(1, 4, 8),
    growth_characters=(1, 10, 100),
)
