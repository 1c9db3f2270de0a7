"""The order in which pairs are seen: a weighted stream over sets, in batches of like length.

A plan is a pure function of the seed and the position: a run that is resumed at a position sees what an uninterrupted
run would have seen from there on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tools.nli.pairs import LABELS, Pair

BATCHES_A_POOL = 48
"""Batches whose pairs are drawn together and sorted by length; padding is then a few per cent."""


@dataclass(frozen=True)
class Batch:
    """(B, S) int64 token ids, mask and segment ids; (B,) int64 labels; S is a multiple of 8."""

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    labels: NDArray[np.int64]


def pair_tokenizer(path: str, max_tokens: int) -> Tokenizer:
    """The tokenizer of a pair, truncating the longer of the two texts, without padding.

    Raises:
        Exception: The file is not a tokenizer (raised by tokenizers).
    """
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens, strategy="longest_first")
    return tokenizer


def encode(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[tuple[list[int], int]]:
    """Token ids and the length of the premise's segment, a pair each."""
    encodings = tokenizer.encode_batch_fast([(pair.premise, pair.hypothesis) for pair in pairs])
    return [(encoding.ids, len(encoding.ids) - sum(encoding.type_ids)) for encoding in encodings]


def collate(encoded: Sequence[tuple[list[int], int]], labels: Sequence[int]) -> Batch:
    """Pad to the longest, rounded up to a multiple of 8 so that few shapes occur."""
    longest = max(len(ids) for ids, _ in encoded)
    shape = (len(encoded), -(-longest // 8) * 8)
    input_ids, mask, segments = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    for row, (ids, premise_length) in enumerate(encoded):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        segments[row, premise_length : len(ids)] = 1
    return Batch(input_ids, mask, segments, np.array(labels, dtype=np.int64))


class Stream:
    """An endless stream of batches over weighted sets.

    Each set is walked in a shuffled order and reshuffled when it ends. State is the number of pairs taken from each set
    so far and the number of pools drawn; `restore` sets it.
    """

    def __init__(
        self, pairs: Mapping[str, Sequence[Pair]], tokenizer: Tokenizer, *, batch_size: int, seed: int
    ) -> None:
        self._pairs = {name: list(some) for name, some in pairs.items() if some}
        self._tokenizer, self._batch_size, self._seed = tokenizer, batch_size, seed
        self._orders: dict[tuple[str, int], list[int]] = {}
        self.taken: dict[str, int] = dict.fromkeys(self._pairs, 0)
        self.num_pools = 0

    def restore(self, taken: Mapping[str, int], num_pools: int) -> None:
        """Continue at a position; sets that the position does not name start at their first pair."""
        self.taken = {name: taken.get(name, 0) for name in self._pairs}
        self.num_pools = num_pools

    def pool(self, shares: Mapping[str, float]) -> Iterator[Batch]:
        """Draw the next `BATCHES_A_POOL` batches; each set gets its share of the pairs, absent sets none."""
        rng = random.Random(f"{self._seed}:{self.num_pools}")
        self.num_pools += 1
        names = [name for name in shares if name in self._pairs]
        drawn = rng.choices(names, [shares[name] for name in names], k=BATCHES_A_POOL * self._batch_size)
        chosen = [self._next(name) for name in drawn]
        encoded = encode(self._tokenizer, chosen)
        order = sorted(range(len(chosen)), key=lambda index: len(encoded[index][0]))
        starts = list(range(0, len(order), self._batch_size))
        rng.shuffle(starts)
        for start in starts:
            rows = order[start : start + self._batch_size]
            yield collate([encoded[row] for row in rows], [LABELS.index(chosen[row].label) for row in rows])

    def _next(self, name: str) -> Pair:
        pairs = self._pairs[name]
        turn, position = divmod(self.taken[name], len(pairs))
        if (name, turn) not in self._orders:
            self._orders = {key: order for key, order in self._orders.items() if key[0] != name}
            order = list(range(len(pairs)))
            random.Random(f"{self._seed}:{name}:{turn}").shuffle(order)
            self._orders[name, turn] = order
        self.taken[name] += 1
        return pairs[self._orders[name, turn][position]]
