from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from npc_engine.inference.kv_cache import common_prefix
from npc_engine.inference.prefix_store import PrefixStore, SnapshotSource
from npc_engine.inference.snapshot_codec import Int8Codec, KvLayout

KEYS = st.sampled_from("abcdef")
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=6)
LAYOUT = KvLayout(parts=2, heads=1, head_dim=2, dtype=np.dtype(np.float64))
ROW = LAYOUT.nbytes + 8  # and the token's id


def rows(token_ids: list[int]) -> NDArray[np.float64]:
    """Rows that say which tokens come before them, as a model's do: (2, 1, tokens, 2)."""
    told = [hash(tuple(token_ids[: end + 1])) % 10_007 for end in range(len(token_ids))]
    return np.broadcast_to(np.array(told, np.float64)[None, None, :, None], (2, 1, len(told), 2)).copy()


class Source:
    """Keys and values of some tokens, and which of them were read."""

    def __init__(self, *token_ids: int) -> None:
        self.token_ids = list(token_ids)
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        self.reads.append((start, stop))
        return rows(self.token_ids)[:, :, start:stop].copy()


def put(store: PrefixStore, key: str, *token_ids: int, pinned: bool = False) -> bool:
    return store.insert(key, token_ids, SnapshotSource(LAYOUT, Source(*token_ids).read), pinned=pinned)


def matched(store: PrefixStore, *token_ids: int) -> int:
    """How much of the prompt is stored; what is stored is checked."""
    match = store.match(token_ids)
    for start, values in match.parts(0, match.num_tokens):
        np.testing.assert_array_equal(values, rows(list(token_ids))[:, :, start : start + values.shape[2]])
    assert sum(values.shape[2] for _, values in match.parts(0, match.num_tokens)) == match.num_tokens
    return match.num_tokens


def test_the_longest_shared_prefix_wins_and_may_be_part_of_a_snapshot() -> None:
    store = PrefixStore(100 * ROW)
    put(store, "short", 1, 2, pinned=True)
    put(store, "long", 1, 2, 3, 4)
    assert matched(store, 1, 2, 3, 9) == 3
    assert matched(store, 1, 2, 9) == 2
    assert matched(store, 7) == matched(store) == 0


def test_what_is_asked_of_a_match_comes_piece_by_piece() -> None:
    store = PrefixStore(100 * ROW)
    put(store, "prefix", 1, 2, 3)
    put(store, "talk", 1, 2, 3, 4, 5)
    match = store.match([1, 2, 3, 4, 5, 6])
    assert [(start, values.shape[2]) for start, values in match.parts(1, 4)] == [(1, 2), (3, 1)]
    assert list(match.parts(2, 2)) == []
    np.testing.assert_array_equal(match.read(1, 5), rows([1, 2, 3, 4, 5])[:, :, 1:])


def test_a_conversation_costs_only_what_it_has_beyond_its_character() -> None:
    store = PrefixStore(10_000 * ROW)
    put(store, "character", *range(400), pinned=True)
    for talk in range(100):
        source = Source(*range(400), 1000 + talk, 7)
        store.insert(f"talk{talk}", source.token_ids, SnapshotSource(LAYOUT, source.read))
        assert source.reads == [(400, 402)]
    assert store.nbytes == (400 + 100 * 2) * ROW


def test_a_conversation_that_goes_on_keeps_what_it_had() -> None:
    store = PrefixStore(100 * ROW)
    put(store, "talk", 1, 2, 3)
    longer = Source(1, 2, 3, 4, 5)
    store.insert("talk", longer.token_ids, SnapshotSource(LAYOUT, longer.read))
    assert longer.reads == [(3, 5)]
    put(store, "talk", 1, 2, 9)  # rolled back and said otherwise
    assert store.nbytes == 3 * ROW
    assert matched(store, 1, 2, 3) == 2


def test_pinned_prefixes_outlive_any_number_of_conversations() -> None:
    store = PrefixStore(5 * ROW)
    put(store, "character", 1, 2, pinned=True)
    for talk in range(20):
        assert put(store, f"talk{talk}", 1, 3, talk)
    assert matched(store, 1, 2) == 2
    assert matched(store, 1, 3, 19) == 3
    assert store.nbytes == 5 * ROW


def test_a_dropped_prefix_stays_as_long_as_a_conversation_builds_on_it() -> None:
    store = PrefixStore(6 * ROW)
    put(store, "character", 1, 2, 3, pinned=True)
    put(store, "talk", 1, 2, 3, 4)
    store.drop("character")
    assert "character" not in store
    assert matched(store, 1, 2, 3, 4) == 4
    assert store.nbytes == 4 * ROW
    store.drop("talk")
    assert (store.nbytes, len(store), matched(store, 1, 2)) == (0, 0, 0)
    put(store, "character", 1, 2, 3, pinned=True)
    put(store, "talk", 1, 2, 3, 4)
    store.drop("character")
    put(store, "other", 5, 6, 7)  # now the dropped prefix may leave with its conversation
    assert ("talk" in store, store.nbytes) == (False, 3 * ROW)


def test_the_least_recently_matched_goes_first() -> None:
    store = PrefixStore(2 * ROW)
    put(store, "a", 1)
    put(store, "b", 2)
    store.match([1, 9])
    put(store, "c", 3)
    assert "a" in store
    assert "b" not in store


def test_what_does_not_fit_changes_nothing_else() -> None:
    store = PrefixStore(3 * ROW)
    put(store, "kept", 1, pinned=True)
    put(store, "talk", 2)
    assert not put(store, "large", 1, 2, 3, 4)
    assert not put(store, "large", 5, 6, 7)
    assert ("kept" in store, "talk" in store, "large" in store) == (True, True, False)
    assert not put(PrefixStore(0), "any", 1)
    with pytest.raises(ValueError, match="at least one token"):
        put(store, "none")


def test_a_source_that_fails_leaves_the_store_whole() -> None:
    def broken(start: int, stop: int) -> NDArray[np.float64]:
        raise RuntimeError("no memory")

    store = PrefixStore(9 * ROW)
    put(store, "kept", 1, 2, 3)
    with pytest.raises(RuntimeError):
        store.insert("broken", [1, 2, 9], SnapshotSource(LAYOUT, broken))
    assert (matched(store, 1, 2, 3), store.nbytes, "broken" in store) == (3, 3 * ROW, False)
    for talk in range(9):
        assert put(store, f"talk{talk}", 10 + talk, 1, 2, 3)
    assert store.nbytes <= store.max_bytes


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["insert", "pin", "drop", "match"]), KEYS, TOKENS), max_size=40))
def test_it_agrees_with_a_plain_table_and_keeps_its_budget(calls: list[tuple[str, str, list[int]]]) -> None:
    store, pinned, latest = PrefixStore(10 * ROW), set(), {}
    for call, key, token_ids in calls:
        if call == "drop":
            store.drop(key)
            pinned.discard(key)
            latest.pop(key, None)
        elif call == "match":
            shared = matched(store, *token_ids)
            assert shared == max((common_prefix(ids, token_ids) for ids in latest.values()), default=0)
        else:
            pinned.discard(key)
            latest.pop(key, None)
            if put(store, key, *token_ids, pinned=call == "pin"):
                latest[key] = token_ids
                if call == "pin":
                    pinned.add(key)
            else:
                needed = prefixes([latest[name] for name in pinned] + [token_ids])
                assert len(needed) > 10
        latest = {name: ids for name, ids in latest.items() if name in store}
        assert 0 <= store.nbytes <= store.max_bytes
        assert store.nbytes == len(prefixes(latest.values())) * ROW
        assert len(store) == len(latest)
        assert all(name in store for name in pinned)


def prefixes(lists: object) -> set[tuple[int, ...]]:
    """Every beginning of every list once: what a trie holds."""
    return {tuple(ids[: end + 1]) for ids in lists for end in range(len(ids))}  # type: ignore[attr-defined]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40))
def test_entries_that_share_nothing_leave_in_the_order_of_their_last_use(calls: list[tuple[bool, int]]) -> None:
    store, model = PrefixStore(3 * 2 * ROW), OrderedDict[int, None]()
    for is_insert, key in calls:
        if is_insert:
            put(store, str(key), key, 9)
            model.pop(key, None)
            model[key] = None
            if len(model) > 3:
                model.popitem(last=False)
        elif store.match([key]).num_tokens:
            model.move_to_end(key)
        assert [str(each) in store for each in range(6)] == [each in model for each in range(6)]


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, TOKENS, st.booleans()), max_size=30))
def test_int8_keeps_the_budget_through_every_split(calls: list[tuple[str, list[int], bool]]) -> None:
    codec = Int8Codec()
    store = PrefixStore(3 * codec.nbytes(LAYOUT, 6), codec)
    for key, token_ids, is_kept in calls:
        if is_kept:
            put(store, key, *token_ids)
        else:
            store.drop(key)
        assert 0 <= store.nbytes <= store.max_bytes
    for key in "abcdef":
        store.drop(key)
    assert store.nbytes == 0
