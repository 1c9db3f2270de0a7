from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.inference.kv_cache import KvSnapshot, common_prefix
from npc_engine.inference.prefix_store import PrefixStore

KEYS = st.sampled_from("abcdef")
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=6)


def snapshot(*token_ids: int) -> KvSnapshot:
    ids = np.array(token_ids, np.int64)
    return KvSnapshot(token_ids=ids, values=np.zeros((2, 1, len(ids), 1), np.float64))


ROW = snapshot(1).nbytes


def test_the_longest_shared_prefix_wins_and_may_be_part_of_a_snapshot() -> None:
    store = PrefixStore(100 * ROW)
    store.insert("short", snapshot(1, 2), pinned=True)
    long = snapshot(1, 2, 3, 4)
    store.insert("long", long)
    assert store.match([1, 2, 3, 9]) == (long, 3)
    assert store.match([1, 2, 9])[1] == 2
    assert store.match([7]) == (None, 0)
    assert store.match([]) == (None, 0)


def test_pinned_prefixes_outlive_any_number_of_conversations() -> None:
    store = PrefixStore(5 * ROW)
    store.insert("character", snapshot(1, 2), pinned=True)
    for talk in range(20):
        assert store.insert(f"talk{talk}", snapshot(1, 3, talk))
    assert len(store) == 2
    assert store.match([1, 2])[1] == 2
    assert store.match([1, 3, 19])[1] == 3


def test_the_least_recently_matched_goes_first() -> None:
    store = PrefixStore(2 * ROW)
    store.insert("a", snapshot(1))
    store.insert("b", snapshot(2))
    store.match([1, 9])
    store.insert("c", snapshot(3))
    assert "a" in store
    assert "b" not in store


def test_what_does_not_fit_changes_nothing_else() -> None:
    store = PrefixStore(3 * ROW)
    store.insert("kept", snapshot(1), pinned=True)
    store.insert("talk", snapshot(2))
    assert not store.insert("large", snapshot(1, 2, 3))
    assert ("kept" in store, "talk" in store, "large" in store) == (True, True, False)
    assert not PrefixStore(0).insert("any", snapshot(1))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["insert", "pin", "drop", "match"]), KEYS, TOKENS), max_size=40))
def test_it_agrees_with_a_plain_table_and_keeps_its_budget(calls: list[tuple[str, str, list[int]]]) -> None:
    store, pinned, latest = PrefixStore(10 * ROW), set(), {}
    for call, key, token_ids in calls:
        if call == "drop":
            store.drop(key)
            pinned.discard(key)
            latest.pop(key, None)
        elif call == "match":
            found, shared = store.match(token_ids)
            kept = [ids for name, ids in latest.items() if name in store]
            assert shared == max((common_prefix(ids, token_ids) for ids in kept), default=0)
            assert (found is None) == (shared == 0)
        else:
            pinned.discard(key)
            latest.pop(key, None)
            if store.insert(key, snapshot(*token_ids), pinned=call == "pin"):
                latest[key] = token_ids
                if call == "pin":
                    pinned.add(key)
            else:
                assert sum(len(latest[name]) for name in pinned) + len(token_ids) > 10
        assert 0 <= store.nbytes <= store.max_bytes
        assert store.nbytes == sum(len(ids) for name, ids in latest.items() if name in store) * ROW
        assert all(name in store for name in pinned)
