"""KV snapshots in host memory in tries of token ids, within a byte budget. What snapshots share is kept once.

Each adapter has a trie of its own: the same tokens have other keys and values under another.

A node holds the keys and values of the tokens on its edge only, so a conversation costs what it has beyond its
character's prefix. Every leaf has a key; a node without one is there for those below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from npc_engine.inference.snapshot_codec import Encoded, FloatCodec, KvLayout, SnapshotCodec

TokenIds = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class SnapshotSource:
    """Where keys and values to keep are read from.

    Attributes:
        layout: What a token looks like.
        read: Tokens `start` to `stop` as (parts, kv heads, tokens, head dim), in memory that nobody else writes to.
    """

    layout: KvLayout
    read: Callable[[int, int], NDArray[np.floating]]


@dataclass(frozen=True)
class PrefixMatch:
    """The stored beginning of a prompt.

    Attributes:
        num_tokens: How many leading tokens are stored.
        pieces: Their keys and values in order; of the last piece perhaps only the first tokens belong to it.
    """

    num_tokens: int = 0
    pieces: tuple[Encoded, ...] = ()

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Keys and values of tokens `start` to `stop`, piece by piece, each with the number of its first token."""
        offset = 0
        for piece in self.pieces:
            first, last = max(start - offset, 0), min(stop - offset, piece.num_tokens)
            if first < last:
                yield offset + first, piece.decode(first, last)
            offset += piece.num_tokens

    def read(self, start: int, stop: int) -> NDArray[np.floating]:
        """Keys and values of tokens `start` to `stop` in one array."""
        return np.concatenate([values for _, values in self.parts(start, stop)], axis=2)


@dataclass(eq=False)
class _Node:
    """An edge and what hangs below it.

    Attributes:
        token_ids: (n,) int64, of the edge.
        values: Their keys and values.
        parent: None only for an adapter's root.
        children: By the first token of their edge.
        keys: Snapshots that end here.
        num_pinned: Pinned keys here and below.
        is_held: Whether an insertion needs it right now.
        last_used: Order of the last insertion or match through it, larger is later.
    """

    token_ids: NDArray[np.int64]
    values: Encoded | None
    parent: _Node | None
    children: dict[int, _Node] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    num_pinned: int = 0
    is_held: bool = False
    last_used: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the edge."""
        return self.token_ids.nbytes + (self.values.nbytes if self.values else 0)

    @property
    def is_needed(self) -> bool:
        """Whether it must not be evicted. True of a node's parent where true of the node."""
        return self.num_pinned > 0 or self.is_held


class PrefixStore:
    """Snapshots by key: a character's prefix is pinned until dropped, a conversation's goes when room is needed.

    A snapshot serves every prompt that shares its first tokens, whole or in part; looking one up takes time in the
    length of the prompt, however many there are. The least recently used leaf leaves first. Where the cost of an entry
    is proportional to its size, as it is for prefill, this is what a cost-aware policy does too. Source: Cao and Irani
    1997, Cost-aware WWW proxy caching algorithms (GreedyDual-Size). Finding that leaf looks at every node, which is
    little beside the copy it makes room for.

    Dropping a pinned prefix that conversations build on keeps its tokens for as long as one of them is kept.

    Not thread-safe: the engine thread owns it.

    Args:
        max_bytes: Most bytes that all snapshots together may take; 0 keeps none.
        codec: How they are kept.

    Attributes:
        nbytes: Bytes held now; never more than `max_bytes`.
    """

    def __init__(self, max_bytes: int, codec: SnapshotCodec | None = None) -> None:
        self.max_bytes = max_bytes
        self.codec = codec if codec is not None else FloatCodec()
        self.nbytes = 0
        self._roots: dict[int, _Node] = {}
        self._nodes: set[_Node] = set()
        self._by_key: dict[str, _Node] = {}
        self._pinned: set[str] = set()
        self._clock = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def insert(
        self, key: str, token_ids: TokenIds, source: SnapshotSource, *, adapter: int = 0, pinned: bool = False
    ) -> bool:
        """Keep a snapshot under the key, replacing what it held; only what is not stored yet is read.

        Evicts what is least recently used and not pinned.

        Returns:
            False when it does not fit beside the pinned ones; then the key holds nothing and nothing was evicted.
        """
        ids = np.array(token_ids, np.int64)
        if not len(ids):
            raise ValueError("a snapshot has at least one token")
        former = self._detach(key)
        path, shared = self._walk(ids, adapter)
        self._touch(path)
        for node in path:
            node.is_held = True
        try:
            if former is not None:
                self._prune(former)
            return self._insert(key, ids, source, path=path, shared=shared, pinned=pinned)
        finally:
            for node in path:
                node.is_held = False
            self._prune(path[-1])

    def drop(self, key: str) -> None:
        """Forget the key, pinned or not; an unknown key is no error."""
        node = self._detach(key)
        if node is not None:
            self._prune(node)

    def match(self, token_ids: TokenIds, *, adapter: int = 0) -> PrefixMatch:
        """What is stored of the prompt's beginning under this adapter; it counts as used."""
        path, shared = self._walk(np.asarray(token_ids, np.int64), adapter)
        self._touch(path)
        return PrefixMatch(shared, tuple(node.values for node in path if node.values is not None))

    def _insert(
        self, key: str, ids: NDArray[np.int64], source: SnapshotSource, *, path: list[_Node], shared: int, pinned: bool
    ) -> bool:
        """Insert below a held path that shares so many tokens with the ids; a last edge that goes on beyond is cut."""
        end, num_new = path[-1], len(ids) - shared
        num_beyond = sum(len(node.token_ids) for node in path) - shared
        num_end = len(end.token_ids) - num_beyond
        # Of the last edge only the shared tokens are needed, where nothing pinned needs the rest.
        lengths = [num_end, num_beyond] if end.num_pinned else [num_end]
        end_bytes = sum(self._bytes_of(source.layout, length) for length in lengths) if num_beyond else end.nbytes
        new_bytes = self._bytes_of(source.layout, num_new)
        needed = sum(node.nbytes for node in self._nodes if node.is_needed and node is not end)
        if needed + end_bytes + new_bytes > self.max_bytes:
            return False
        if num_beyond:
            path[-1] = self._split(end, num_end)
            path[-1].is_held, end.is_held = True, False
            self._prune(end)  # what the key held before
            end = path[-1]
        while self.nbytes + new_bytes > self.max_bytes:
            leaves = (node for node in self._nodes if not node.children and not node.is_needed)
            self._evict(min(leaves, key=lambda node: node.last_used))
        if num_new:
            end = self._add(end, ids[shared:], self.codec.encode(source.read(shared, len(ids))))
        self._attach(key, end, pinned=pinned)
        return True

    def _bytes_of(self, layout: KvLayout, num_tokens: int) -> int:
        """What a node of so many tokens takes."""
        return self.codec.nbytes(layout, num_tokens) + num_tokens * np.dtype(np.int64).itemsize if num_tokens else 0

    def _walk(self, ids: NDArray[np.int64], adapter: int) -> tuple[list[_Node], int]:
        """Nodes from the root on that share tokens with the ids, and how many in all; the last perhaps in part."""
        path, shared = [self._roots.setdefault(adapter, _Node(np.zeros(0, np.int64), None, None))], 0
        while shared < len(ids) and (child := path[-1].children.get(int(ids[shared]))) is not None:
            rest = ids[shared : shared + len(child.token_ids)]
            differ = np.flatnonzero(child.token_ids[: len(rest)] != rest)
            length = int(differ[0]) if differ.size else len(rest)
            path.append(child)
            shared += length
            if length < len(child.token_ids):
                break
        return path, shared

    def _evict(self, leaf: _Node) -> None:
        for key in tuple(leaf.keys):
            self._detach(key)
        self._prune(leaf)

    def _split(self, node: _Node, at: int) -> _Node:
        """Cut an edge in two; returns the new upper node, which takes the lower one's place."""
        assert node.parent is not None
        assert node.values is not None
        above, below = node.values.split(at)
        upper = _Node(
            node.token_ids[:at].copy(),
            above,
            node.parent,
            children={int(node.token_ids[at]): node},
            num_pinned=node.num_pinned,
            last_used=node.last_used,
        )
        self.nbytes -= node.nbytes
        node.parent.children[int(upper.token_ids[0])] = upper
        node.token_ids, node.values, node.parent = node.token_ids[at:].copy(), below, upper
        self.nbytes += upper.nbytes + node.nbytes
        self._nodes.add(upper)
        return upper

    def _add(self, parent: _Node, ids: NDArray[np.int64], values: Encoded) -> _Node:
        node = _Node(ids.copy(), values, parent, last_used=self._clock)
        parent.children[int(ids[0])] = node
        self._nodes.add(node)
        self.nbytes += node.nbytes
        return node

    def _attach(self, key: str, node: _Node, *, pinned: bool) -> None:
        node.keys.add(key)
        self._by_key[key] = node
        if pinned:
            self._pinned.add(key)
            self._count_pins(node, 1)

    def _detach(self, key: str) -> _Node | None:
        """Take the key off its node, which stays."""
        node = self._by_key.pop(key, None)
        if node is not None:
            node.keys.remove(key)
            if key in self._pinned:
                self._pinned.remove(key)
                self._count_pins(node, -1)
        return node

    def _count_pins(self, node: _Node | None, change: int) -> None:
        while node is not None:
            node.num_pinned += change
            node = node.parent

    def _prune(self, node: _Node) -> None:
        """Remove a leaf without a key, and then its parents that are one."""
        while node.parent is not None and not node.keys and not node.children and not node.is_held:
            del node.parent.children[int(node.token_ids[0])]
            self._nodes.remove(node)
            self.nbytes -= node.nbytes
            node = node.parent

    def _touch(self, path: list[_Node]) -> None:
        self._clock += 1
        for node in path:
            node.last_used = self._clock
