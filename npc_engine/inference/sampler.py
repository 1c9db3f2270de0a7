"""From logits to token ids: penalties, temperature, truncation, one draw a row. Vectorised numpy over all rows.

Sampling sees a row's top-k logits as the graph gives them (64, or the whole of a smaller vocabulary):

* A token outside them is never drawn. `top_p` is the mass among them after temperature; `min_p` and greedy are exact.
* A penalty only reorders them: a token outside is not lifted in when others fall.
* A constrained row is masked over the full vocabulary first, then its 64 best allowed tokens are taken.

A draw depends on the row's seed and position alone, never on the batch, on time, or on earlier draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.errors import RequestError
from npc_engine.inference.constraint import Constraint

MAX_TOP_K = 64
# A logit: an avoided token is about 50 times less likely. Source: chosen by hand.
AVOID_PENALTY = 4.0


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How one request picks its tokens. The order is: penalties, temperature, top_k, top_p, min_p, draw.

    Attributes:
        temperature: 0.01 to 10; or 0, which takes the most likely token and ignores the seed.
        top_k: Keep this many most likely tokens, at most 64; 0 keeps all that the graph gives.
        top_p: Keep the smallest set of likeliest tokens with this mass.
        min_p: Drop tokens less likely than this fraction of the likeliest.
        repetition_penalty: Divides positive and multiplies negative logits of tokens generated before; 1 is off. The
            prompt is not counted, so that a reply may quote it. Source: Keskar et al. 2019, CTRL, section 4.1.
        presence_penalty: Subtracted from the logits of tokens generated before; 0 is off.
        avoid: Id sequences to steer clear of: where a reply's last ids begin one, `AVOID_PENALTY` is subtracted from
            the logit of its next id. Its first id is never touched, so that ordinary words stay free.
        seed: The same seed gives the same ids.
        max_new_tokens: Tokens generated at most; reaching it finishes with `length`.
        stop: Texts that end the reply; they are not part of it.
        stop_ids: Token ids that end the reply, beside the model's own end tokens.
        constraint: The language that the reply must belong to.
        logprobs: Whether deltas carry each token's log-probability; costs a pass over the whole logits row a token.

    Raises:
        RequestError: A value is out of range.
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    avoid: tuple[tuple[int, ...], ...] = ()
    seed: int = 0
    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    constraint: Constraint | None = None
    logprobs: bool = False

    def __post_init__(self) -> None:
        """Check every range."""
        self._check("temperature", self.temperature == 0 or 0.01 <= self.temperature <= 10, "0, or 0.01 to 10")
        self._check("top_k", 0 <= self.top_k <= MAX_TOP_K, f"0 to {MAX_TOP_K}")
        self._check("top_p", 0 < self.top_p <= 1, "above 0, up to 1")
        self._check("min_p", 0 <= self.min_p <= 1, "0 to 1")
        self._check("repetition_penalty", 0 < self.repetition_penalty <= 10, "above 0, up to 10")
        self._check("presence_penalty", math.isfinite(self.presence_penalty), "a finite number")
        self._check("seed", 0 <= self.seed < 1 << 64, "0 to 2**64 - 1")
        self._check("max_new_tokens", self.max_new_tokens >= 1, "at least 1")
        self._check("stop", all(self.stop), "texts that are not empty")

    @property
    def is_greedy(self) -> bool:
        """Whether the most likely token is always taken."""
        return self.temperature == 0

    def avoided_after(self, ids: Sequence[int]) -> frozenset[int]:
        """The ids that would go on with a sequence of `avoid` which the last of these ids begin."""
        return frozenset(
            sequence[length]
            for sequence in self.avoid
            for length in range(1, min(len(sequence), len(ids) + 1))
            if tuple(ids[-length:]) == sequence[:length]
        )

    @property
    def has_penalty(self) -> bool:
        """Whether tokens generated before matter."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0

    def _check(self, name: str, is_valid: bool, allowed: str) -> None:
        if not is_valid:
            raise RequestError(f"sampling: {name} must be {allowed}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class SamplerRow:
    """What the sampler must know of one row beside its logits.

    Attributes:
        params: The request's parameters.
        position: How many tokens the request has generated before.
        generated: (vocab_size,) bool, which tokens; None where the parameters have no penalty.
        allowed: (vocab_size,) bool, which tokens the constraint permits now; None without a constraint.
        avoided: Ids that would go on with a sequence of `SamplingParams.avoid`.
    """

    params: SamplingParams
    position: int
    generated: NDArray[np.bool_] | None = None
    allowed: NDArray[np.bool_] | None = None
    avoided: frozenset[int] = frozenset()


def sample(
    rows: Sequence[SamplerRow],
    *,
    full: NDArray[np.float32],
    top_values: NDArray[np.float32],
    top_ids: NDArray[np.int64],
) -> list[int]:
    """Pick one token id a row.

    Args:
        rows: The rows' parameters.
        full: (rows, vocab_size) logits, read for constrained rows only.
        top_values: (rows, k) largest logits, descending.
        top_ids: (rows, k) their ids.

    Returns:
        One id a row, each independent of the other rows.
    """
    if any(row.allowed is not None for row in rows):
        top_values, top_ids = _constrained_top(rows, full=full, top_values=top_values, top_ids=top_ids)
    logits = top_values.astype(np.float64)
    if any(row.generated is not None or row.avoided for row in rows):
        _penalise(rows, logits, top_ids)
        order = np.argsort(-logits, axis=1, kind="stable")
        logits = np.take_along_axis(logits, order, axis=1)
        top_ids = np.take_along_axis(top_ids, order, axis=1)
    is_greedy = all(row.params.is_greedy for row in rows)
    picked = np.zeros(len(rows), np.int64) if is_greedy else _draw(rows, logits)
    chosen: list[int] = top_ids[np.arange(len(rows)), picked].tolist()
    return chosen


def log_probability(token_id: int, logits: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None) -> float:
    """The natural-log probability of one token under a row's own distribution.

    That is the softmax of the logits as the graph gives them, over the whole vocabulary or the allowed part of it: at
    temperature 1, with nothing penalised and nothing truncated.

    Args:
        token_id: The token.
        logits: (vocab_size,).
        allowed: (vocab_size,) which tokens the distribution is over; None for all.
    """
    values = logits if allowed is None else logits[allowed]
    largest = values.max()
    total = np.exp(values - largest).sum(dtype=np.float64)
    return float(logits[token_id] - largest) - math.log(total)


def uniform(seeds: NDArray[np.uint64], positions: NDArray[np.uint64]) -> NDArray[np.float64]:
    """One number in [0, 1) for each (seed, position), the same on every machine.

    Source: Steele, Lea, Flood 2014, Fast splittable pseudorandom number generators (SplitMix64), as a counter.
    """
    state = _mix(seeds) + (positions + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return (_mix(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _draw(rows: Sequence[SamplerRow], logits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index into each row of descending logits; greedy rows give 0."""
    params = [row.params for row in rows]
    k = logits.shape[1]
    temperature = np.array([p.temperature or 1.0 for p in params])[:, None]
    top_k = np.array([p.top_k or k for p in params])[:, None]
    top_p = np.array([p.top_p for p in params])[:, None]
    min_p = np.array([p.min_p for p in params])[:, None]

    weights = np.exp((logits - logits[:, :1]) / temperature)
    weights[np.arange(k) >= top_k] = 0
    before = np.cumsum(weights, axis=1) - weights
    total = weights.sum(axis=1, keepdims=True)
    weights[before >= top_p * total] = 0
    weights[weights < min_p] = 0  # the likeliest weighs exactly 1

    cumulative = np.cumsum(weights, axis=1)
    seeds = np.array([p.seed for p in params], np.uint64)
    positions = np.array([row.position for row in rows], np.uint64)
    target = uniform(seeds, positions)[:, None] * cumulative[:, -1:]
    picked: NDArray[np.int64] = (cumulative <= target).sum(axis=1)
    picked[[p.is_greedy for p in params]] = 0
    return picked


def _penalise(rows: Sequence[SamplerRow], logits: NDArray[np.float64], top_ids: NDArray[np.int64]) -> None:
    for index, row in enumerate(rows):
        if row.avoided:
            logits[index, np.isin(top_ids[index], list(row.avoided))] -= AVOID_PENALTY
        if row.generated is None:
            continue
        seen = row.generated[top_ids[index]]
        values = logits[index, seen]
        penalty = row.params.repetition_penalty
        logits[index, seen] = np.where(values > 0, values / penalty, values * penalty) - row.params.presence_penalty


def _constrained_top(
    rows: Sequence[SamplerRow],
    *,
    full: NDArray[np.float32],
    top_values: NDArray[np.float32],
    top_ids: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Replace the top-k of constrained rows by the top-k of their allowed tokens."""
    top_values, top_ids = top_values.copy(), top_ids.copy()
    k = top_values.shape[1]
    for index, row in enumerate(rows):
        if row.allowed is None:
            continue
        values = np.where(row.allowed, full[index], np.float32(-np.inf))
        best = np.argpartition(-values, k - 1)[:k] if k < len(values) else np.arange(len(values))
        best = best[np.lexsort((best, -values[best]))]
        top_values[index], top_ids[index] = values[best], best
    return top_values, top_ids
