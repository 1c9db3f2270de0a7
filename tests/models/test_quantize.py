from functools import partial

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as GgmlType
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npc_engine.errors import UnsupportedTensor
from npc_engine.models.quantize import has_offsets, pack4, quantize, quantize_rows, unpack4
from npc_engine.models.weights import SourceTensor

# Nothing smaller than any weight is: the tests' own arithmetic overflows there.
WEIGHT = st.floats(-1e3, 1e3, width=32).map(lambda value: value if abs(value) > 1e-20 else 0.0)
WEIGHTS = np.random.default_rng(0).standard_normal((24, 96), dtype=np.float32)


def stored(weights: np.ndarray, kind: GgmlType, shape: tuple[int, ...] | None = None) -> SourceTensor:
    return SourceTensor(
        name="blk.0.ffn_up.weight",
        shape=shape or weights.shape,
        stored=kind.name,
        raw=gguf.quants.quantize(weights, kind),
        decode=partial(gguf.quants.dequantize, qtype=kind),
    )


def q4_k() -> SourceTensor:
    """Ten rows of one super-block each: random codes, scales and minimums (the format's package cannot write any)."""
    rng = np.random.default_rng(3)
    raw = rng.integers(0, 256, (10, 144), dtype=np.uint8)
    raw[:, :4] = np.array([0.01, 0.02], np.float16).view(np.uint8)
    kind = GgmlType.Q4_K
    decode = partial(gguf.quants.dequantize, qtype=kind)
    return SourceTensor(name="blk.0.ffn_up.weight", shape=(10, 256), stored=kind.name, raw=raw, decode=decode)


RAW = {"q4_1": stored(WEIGHTS, GgmlType.Q4_1), "q4_k": q4_k()}


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=2).map(lambda shape: (*shape, 32)), elements=st.integers(0, 15)))
def test_packed_nibbles_come_back(codes):
    packed = pack4(codes)
    assert packed.shape[-1] == 16
    np.testing.assert_array_equal(unpack4(packed), codes)


@pytest.mark.parametrize("name", ["q4_1", "q4_k"])
def test_blocks_with_a_minimum_keep_every_code_through_offsets(name):
    tensor = RAW[name]
    rows = quantize_rows(tensor, 3, 9, 4)
    assert rows.offsets is not None
    assert rows.codes.shape == (6, tensor.shape[1] // 2)
    # The same numbers but for the order of one float32 sum.
    np.testing.assert_allclose(rows.dequantize(), tensor.floats()[3:9], rtol=1e-5, atol=1e-6)
    assert has_offsets([tensor], 4)
    assert not has_offsets([tensor], 8)


def test_offsets_need_every_tensor_of_a_matrix_to_be_exact():
    assert has_offsets([RAW["q4_1"], stored(WEIGHTS, GgmlType.Q4_0)], 4)
    assert not has_offsets([RAW["q4_1"], stored(WEIGHTS, GgmlType.F16)], 4)
    assert not has_offsets([stored(WEIGHTS, GgmlType.Q4_0)], 4)


@pytest.mark.parametrize(
    ("kind", "bits"), [(GgmlType.Q4_0, 4), (GgmlType.Q4_0, 8), (GgmlType.Q8_0, 8)], ids=lambda value: str(value)
)
def test_symmetric_gguf_blocks_keep_every_bit(kind, bits):
    tensor = stored(WEIGHTS, kind)
    rows = quantize_rows(tensor, 8, 24, bits)
    assert rows.bits == bits
    np.testing.assert_array_equal(rows.dequantize(), tensor.floats()[8:24])


def test_rows_are_permuted_before_they_are_quantized():
    order = np.random.default_rng(1).permutation(24)
    plain = stored(WEIGHTS, GgmlType.Q4_0)
    permuted = SourceTensor(**{**vars(plain), "row_order": order})
    np.testing.assert_array_equal(
        quantize_rows(permuted, 0, 24, 4).dequantize(), quantize_rows(plain, 0, 24, 4).dequantize()[order]
    )


@given(hnp.arrays(np.float32, (2, 64), elements=WEIGHT))
def test_eight_bits_are_within_half_a_step(weights):
    rows = quantize(weights, 8)
    steps = np.repeat(rows.scales, 32, axis=1)
    assert (np.abs(rows.dequantize() - weights) <= 0.5001 * steps + 1e-30).all()


@given(hnp.arrays(np.float32, (2, 64), elements=WEIGHT))
def test_the_int4_search_is_never_worse_than_the_largest_weight_at_an_end_of_the_range(weights):
    blocks = weights.reshape(-1, 32)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scale = np.where(largest == 0, 1, largest / -8)
    plain = np.clip(np.rint(blocks / scale), -8, 7) * scale
    searched = quantize(weights, 4).dequantize().reshape(-1, 32)
    errors = [((guess - blocks).astype(np.float64) ** 2).sum(axis=1) for guess in (searched, plain)]
    # Both are rounded to float32 on the way: equal but for that.
    assert (errors[0] <= errors[1] * 1.001 + 1e-6 * (blocks.astype(np.float64) ** 2).sum(axis=1)).all()


def test_the_search_gains_on_normal_weights():
    weights = np.random.default_rng(2).standard_normal((64, 2048), dtype=np.float32)
    tensor = stored(weights, GgmlType.Q4_0)
    searched, plain = quantize(weights, 4).dequantize(), tensor.floats()
    assert np.square(searched - weights).sum() < 0.9 * np.square(plain - weights).sum()


def test_a_block_of_zeros_stays_zero():
    for bits in (4, 8):
        assert not quantize(np.zeros((1, 32), np.float32), bits).dequantize().any()


def test_rows_must_be_whole_blocks():
    with pytest.raises(UnsupportedTensor, match=r"ffn_up.weight \(2, 48\): rows must be a multiple of 32"):
        quantize_rows(stored(np.zeros((2, 48), np.float32), GgmlType.F32), 0, 2, 4)
