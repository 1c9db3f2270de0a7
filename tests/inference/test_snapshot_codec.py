from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from npc_engine.inference.snapshot_codec import CODECS, KvLayout

DTYPES = ("float32", "float16")


def values_of(seed: int, tokens: int, dtype: str) -> NDArray[np.floating]:
    """Keys with a few large channels, as real models have; values of any size, some rows all zero."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((4, 2, tokens, 8))
    values[0::2, :, :, :2] += 300 * rng.standard_normal((2, 2, 1, 2))
    values[1::2] *= rng.choice([0, 1e-6, 1, 100], (2, 2, tokens, 1))
    return values.astype(dtype)


CASES = {"seed": st.integers(0, 10_000), "tokens": st.integers(1, 9), "dtype": st.sampled_from(DTYPES)}


@pytest.mark.parametrize("name", CODECS)
@settings(deadline=None, max_examples=40)
@given(**CASES, data=st.data())
def test_what_is_kept_has_the_size_it_said_and_decodes_in_parts(
    name: str, seed: int, tokens: int, dtype: str, data: st.DataObject
) -> None:
    codec, values = CODECS[name], values_of(seed, tokens, dtype)  # type: ignore[index]
    layout = KvLayout(parts=4, heads=2, head_dim=8, dtype=values.dtype)
    kept = codec.encode(values)
    whole = kept.decode(0, tokens)
    assert (kept.num_tokens, kept.nbytes) == (tokens, codec.nbytes(layout, tokens))
    assert (whole.shape, whole.dtype) == (values.shape, values.dtype)
    start = data.draw(st.integers(0, tokens))
    stop = data.draw(st.integers(start, tokens))
    np.testing.assert_array_equal(kept.decode(start, stop), whole[:, :, start:stop])
    if 0 < start < tokens:
        first, rest = kept.split(start)
        np.testing.assert_array_equal(first.decode(0, start), whole[:, :, :start])
        np.testing.assert_array_equal(rest.decode(0, tokens - start), whole[:, :, start:])
        piece = 2 * codec.nbytes(layout, 1) - codec.nbytes(layout, 2)
        assert first.nbytes + rest.nbytes == kept.nbytes + piece
    filled = codec.empty(layout, tokens)
    for target, source in zip(filled.arrays(), kept.arrays(), strict=True):
        assert target.dtype == source.dtype
        target[...] = source
    np.testing.assert_array_equal(filled.decode(0, tokens), whole)


@settings(deadline=None)
@given(**CASES)
def test_float_is_exact_and_keeps_a_whole_array_without_a_copy(seed: int, tokens: int, dtype: str) -> None:
    values = values_of(seed, tokens, dtype)
    kept = CODECS["float"].encode(values)
    np.testing.assert_array_equal(kept.decode(0, tokens), values)
    assert kept.arrays()[0] is values
    part = CODECS["float"].encode(values[:, :, :1])
    assert part.arrays()[0].base is None


@settings(deadline=None)
@given(**CASES)
def test_int8_is_off_by_half_a_scale_at_most(seed: int, tokens: int, dtype: str) -> None:
    values = values_of(seed, tokens, dtype).astype(np.float64)
    decoded = CODECS["int8"].encode(values.astype(dtype)).decode(0, tokens).astype(np.float64)
    for part, axis in ((0, 2), (1, 3)):
        original = values[part::2]
        largest = np.abs(original).max(axis=axis, keepdims=True)
        rounding = np.finfo(dtype).eps * largest + float(np.finfo(dtype).smallest_subnormal)
        assert (np.abs(original - decoded[part::2]) <= largest / 127 * 0.5001 + rounding).all()


def test_int8_takes_a_quarter_of_the_bytes() -> None:
    layout = KvLayout(parts=56, heads=2, head_dim=128, dtype=np.dtype(np.float32))
    assert CODECS["int8"].nbytes(layout, 500) < 0.27 * CODECS["float"].nbytes(layout, 500)
