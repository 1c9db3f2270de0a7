"""KV snapshots in host memory, found by token prefix, within a byte budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.kv_cache import KvSnapshot, common_prefix


@dataclass
class _Entry:
    snapshot: KvSnapshot
    last_used: int


class PrefixStore:
    """Snapshots by key: a character's prefix is pinned until dropped, a conversation's goes when room is needed.

    A snapshot serves every prompt that shares its first tokens, whole or in part. Looking one up compares the prompt
    with each snapshot, 2-3 us an entry. Not thread-safe: the engine thread owns it.

    Args:
        max_bytes: Most bytes that all snapshots together may take; 0 keeps none.

    Attributes:
        nbytes: Bytes held now; never more than `max_bytes`.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._pinned: dict[str, KvSnapshot] = {}
        self._evictable: dict[str, _Entry] = {}
        self._clock = 0

    def __len__(self) -> int:
        return len(self._pinned) + len(self._evictable)

    def __contains__(self, key: str) -> bool:
        return key in self._pinned or key in self._evictable

    def insert(self, key: str, snapshot: KvSnapshot, *, pinned: bool = False) -> bool:
        """Keep a snapshot under the key, replacing what it held; evict least recently used ones that are not pinned.

        Returns:
            False when it does not fit beside the pinned ones; then the key holds nothing and nothing was evicted.
        """
        self.drop(key)
        room = self.max_bytes - sum(kept.nbytes for kept in self._pinned.values())
        if snapshot.nbytes > room:
            return False
        while self.nbytes + snapshot.nbytes > self.max_bytes:
            oldest = min(self._evictable, key=lambda name: self._evictable[name].last_used)
            self.drop(oldest)
        self.nbytes += snapshot.nbytes
        if pinned:
            self._pinned[key] = snapshot
        else:
            self._evictable[key] = _Entry(snapshot, self._tick())
        return True

    def drop(self, key: str) -> None:
        """Forget the key, pinned or not; an unknown key is no error."""
        if key in self._pinned:
            self.nbytes -= self._pinned.pop(key).nbytes
        elif key in self._evictable:
            self.nbytes -= self._evictable.pop(key).snapshot.nbytes

    def match(self, token_ids: Sequence[int] | NDArray[np.int64]) -> tuple[KvSnapshot | None, int]:
        """The snapshot that shares most leading tokens with the prompt, and how many; (None, 0) when none does."""
        prompt = np.asarray(token_ids, np.int64)
        found: tuple[KvSnapshot | None, int] = (None, 0)
        used: _Entry | None = None
        for snapshot in self._pinned.values():
            shared = common_prefix(snapshot.token_ids, prompt)
            if shared > found[1]:
                found = (snapshot, shared)
        for entry in self._evictable.values():
            shared = common_prefix(entry.snapshot.token_ids, prompt)
            if shared > found[1]:
                found, used = (entry.snapshot, shared), entry
        if used is not None:
            used.last_used = self._tick()
        return found

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
