"""Whether a prefill graph may be installed: its next-token distribution against the decode graph's.

Both graphs read the same text, and at the end of every chunk the divergence of what they say comes next is measured:
the keys and values of all that was read before, and the last row's own rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npc_engine.config import EngineConfig
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.tokenizer import ChatTokenizer

MAX_KL_NATS = 0.02
"""Largest mean divergence of a prefill graph that is kept. Half of the 0.041 nats (measured) that rounding `base`'s
four-bit blocks to symmetric ones costs, which is too much to ship. `base` has 0.014, `tiny` 0.016; `tiny` without
smoothing has 0.023 on another text."""

_CHUNK_TOKENS = 5

CALIBRATION = (
    (
        "system",
        "You are Odo, the miller of Brackwater. You know the price of flour, who owes you money, and which roads are "
        "flooded. You speak plainly, in one or two sentences, and you never leave the mill before sundown. You have a "
        "daughter, Tess, who went to the coast with the carters in 1407, and a dog that barks at strangers.",
    ),
    ("user", "Good morning, miller! What does a sack of flour cost today, and is the bridge open again?"),
    (
        "assistant",
        "Six copper for the coarse, nine for the white. The bridge is open to anyone on foot, but carts must go round "
        "by the ford until the carpenters have finished; three days, they say, so I would count on ten.",
    ),
    ("user", "What happened to it? And have you heard anything from your daughter?"),
    (
        "assistant",
        "The spring flood took two of the piers. Tess wrote at midwinter: she mends sails in the harbour, earns more "
        "than I do, and asks whether the dog still sleeps on my boots. He does.",
    ),
)
"""A talk, (role, text), to look at activations by."""

GATE = (
    (
        "system",
        "You are Mira, a blacksmith in the hill village of Aldersey. You sell swords, horseshoes and nails. You are "
        "curt but fair, you distrust the tax collector, and you do not know what lies beyond the northern pass.",
    ),
    ("user", "You look busy. What are you making there?"),
    (
        "assistant",
        "Spearheads, forty of them, for the garrison at Harrow. They want them before the new moon and will pay in "
        "silver. It can be done if nobody sleeps much and the river does not rise again.",
    ),
    ("user", "How do you know when the steel is hot enough? I have always wondered about that."),
    (
        "assistant",
        "By its colour. Dull red is about 700 degrees, bright orange is near 1,000, and at a yellow heat it can be "
        "welded. Then I quench it in oil and draw it back in a slow fire, until a straw tint runs along the blade. Too "
        "little carbon and the edge folds; too much and it shatters like a cup.",
    ),
    ("user", "Would you sell me a sword for twenty gold pieces? It is all I have left after the journey."),
    (
        "assistant",
        "Forty is the price, and it is a fair one. For twenty you may have the short blade on the wall: it is older "
        "than my apprentice, but it has never failed anyone who kept it oiled. Half now, half when you come back.",
    ),
)
"""Another talk, to measure by."""


@dataclass(frozen=True)
class GateResult:
    """How far a prefill graph is from its decode graph.

    Attributes:
        kl_nats: Mean KL(decode || prefill) of the next token, nats.
        agreement: Share of the positions at which both put the same token first.
    """

    kl_nats: float
    agreement: float

    @property
    def passed(self) -> bool:
        """Whether the prefill graph may be installed."""
        return self.kl_nats <= MAX_KL_NATS


def talk_ids(tokenizer: ChatTokenizer, talk: Sequence[tuple[str, str]], *, max_tokens: int) -> list[int]:
    """The tokens of a talk as a prompt has them, cut to `max_tokens`."""
    ids = [token_id for role, text in talk for token_id in tokenizer.encode_message(role, text)]  # type: ignore[arg-type]
    return ids[:max_tokens]


def measure(folder: Path) -> GateResult:
    """Compare the graphs of a built folder whose decoder.json says there is a prefill graph.

    Returns:
        The plain model's figures, or those of the adapter that is furthest off.

    Raises:
        CorruptModel: A graph does not load or fails its start-up check.
    """
    num_adapters = len(DecoderSpec.load(folder / "decoder.json").adapters)
    results = [_measure(folder, adapter) for adapter in range(num_adapters + 1)]
    return max(results, key=lambda result: result.kl_nats)


def _measure(folder: Path, adapter: int) -> GateResult:
    expected = _log_probabilities(folder, adapter, prefill_graph=False)
    got = _log_probabilities(folder, adapter, prefill_graph=True)
    divergences = (np.exp(expected) * (expected - got)).sum(axis=1)
    same = expected.argmax(axis=1) == got.argmax(axis=1)
    return GateResult(round(float(divergences.mean()), 5), round(float(same.mean()), 4))


def _log_probabilities(folder: Path, adapter: int, *, prefill_graph: bool) -> NDArray[np.float64]:
    """(chunks, vocab_size) at the end of every chunk of the gate's talk. One graph's memory at a time."""
    config = EngineConfig(
        device="cpu",
        num_slots=1,
        max_context_tokens=512,
        prefill_chunk_tokens=8,
        prefill_graph=prefill_graph,
        kv_budget_bytes=None,
    )
    decoder = Decoder.load(folder, config=config)
    ids = talk_ids(ChatTokenizer.load(folder), GATE, max_tokens=decoder.kv.max_context_tokens)
    rows = []
    for start in range(0, len(ids) - _CHUNK_TOKENS + 1, _CHUNK_TOKENS):
        chunk = ids[start : start + _CHUNK_TOKENS]
        logits = decoder.prefill(0, chunk, num_cached_tokens=start, adapter=adapter).full[0]
        shifted = logits.astype(np.float64) - logits.max()
        rows.append(shifted - np.log(np.exp(shifted).sum()))
    return np.array(rows)
