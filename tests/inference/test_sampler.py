from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.errors import RequestError
from npc_engine.inference.sampler import AVOID_PENALTY, SamplerRow, SamplingParams, sample, uniform

VOCAB, K = 200, 64


def logits_of(seed: int, rows: int) -> dict[str, np.ndarray]:
    full = np.random.default_rng(seed).normal(0, 3, (rows, VOCAB)).astype(np.float32)
    ids = np.argsort(-full, axis=1, kind="stable")[:, :K]
    return {"full": full, "top_values": np.take_along_axis(full, ids, axis=1), "top_ids": ids}


def row_of(logits: dict[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {name: array[index : index + 1] for name, array in logits.items()}


PARAMS = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.01, 0.7, 1.0, 10.0]),
    top_k=st.integers(0, 64),
    top_p=st.floats(0.01, 1.0),
    min_p=st.floats(0.0, 1.0),
    repetition_penalty=st.sampled_from([1.0, 0.5, 1.3]),
    presence_penalty=st.sampled_from([0.0, 2.0, -1.0]),
    seed=st.integers(0, 2**64 - 1),
)


@st.composite
def rows(draw: st.DrawFn) -> SamplerRow:
    params = draw(PARAMS)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    generated = rng.random(VOCAB) < 0.2 if params.has_penalty else None
    allowed = rng.random(VOCAB) < draw(st.sampled_from([0.02, 0.5])) if draw(st.booleans()) else None
    if allowed is not None:
        allowed[draw(st.integers(0, VOCAB - 1))] = True
    avoided = draw(st.frozensets(st.integers(0, VOCAB - 1), max_size=3))
    return SamplerRow(params, draw(st.integers(0, 500)), generated, allowed, avoided)


@settings(deadline=None)
@given(st.lists(rows(), min_size=1, max_size=6), st.integers(0, 99))
def test_a_row_does_not_depend_on_its_neighbours(batch: list[SamplerRow], seed: int) -> None:
    logits = logits_of(seed, len(batch))
    together = sample(batch, **logits)
    alone = [sample([row], **row_of(logits, index))[0] for index, row in enumerate(batch)]
    assert together == alone
    assert all(row.allowed is None or row.allowed[token] for row, token in zip(batch, together, strict=True))


def test_what_goes_on_with_a_begun_sequence_is_avoided() -> None:
    params = SamplingParams(avoid=((5, 6, 7), (6, 9)))
    assert params.avoided_after([]) == frozenset()
    assert params.avoided_after([1, 5]) == {6}
    assert params.avoided_after([5, 6]) == {7, 9}
    assert params.avoided_after([6, 5, 1]) == frozenset()


def test_an_avoided_token_is_only_taken_where_nothing_is_near() -> None:
    params = SamplingParams(temperature=0)
    for gap, taken in ((AVOID_PENALTY - 0.5, 1), (AVOID_PENALTY + 0.5, 0)):
        full = np.array([[10.0, 10.0 - gap, 0.0]], np.float32)
        ids = np.array([[0, 1, 2]], np.int64)
        row = SamplerRow(params, 0, avoided=frozenset({0}))
        assert sample([row], full=full, top_values=full, top_ids=ids) == [taken]


@given(st.integers(0, 99), st.integers(0, 2**64 - 1))
def test_temperature_0_is_argmax_whatever_the_seed(seed: int, row_seed: int) -> None:
    logits = logits_of(seed, 1)
    params = SamplingParams(temperature=0, seed=row_seed, top_p=0.5, min_p=0.3)
    assert sample([SamplerRow(params, 3)], **logits) == [int(logits["full"].argmax())]


def test_the_seed_and_the_position_decide_the_draw() -> None:
    logits = logits_of(1, 1)

    def ids(seed: int) -> list[int]:
        params = SamplingParams(temperature=2.0, top_p=1.0, top_k=0, seed=seed)
        return [sample([SamplerRow(params, position)], **logits)[0] for position in range(50)]

    assert ids(7) == ids(7)
    assert ids(7) != ids(8)
    assert len(set(ids(7))) > 5


def draws(params: SamplingParams, logits: dict[str, np.ndarray], count: int = 4000) -> np.ndarray:
    stacked = {name: np.repeat(array, count, axis=0) for name, array in logits.items()}
    return np.array(sample([SamplerRow(params, position) for position in range(count)], **stacked))


def test_draws_follow_the_softmax() -> None:
    logits = logits_of(5, 1)
    top = logits["top_values"][0].astype(np.float64)
    expected = np.exp(top - top[0]) / np.exp(top - top[0]).sum()
    got = draws(SamplingParams(temperature=1.0, top_p=1.0, top_k=0), logits)
    counts = np.array([(got == token).sum() for token in logits["top_ids"][0]])
    # Standard error of a share over 4,000 draws is below 0.008.
    np.testing.assert_allclose(counts / len(got), expected, atol=0.03)


def test_truncation_keeps_what_its_definition_says() -> None:
    logits = logits_of(5, 1)
    top, ids = logits["top_values"][0].astype(np.float64), logits["top_ids"][0]
    share = np.exp(top - top[0]) / np.exp(top - top[0]).sum()
    flat = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    assert set(draws(SamplingParams(**flat | {"top_k": 3}), logits)) == set(ids[:3])
    nucleus = int((np.cumsum(share) < 0.7).sum()) + 1
    assert set(draws(SamplingParams(**flat | {"top_p": 0.7}), logits)) == set(ids[:nucleus])
    assert set(draws(SamplingParams(**flat, min_p=0.3), logits)) == set(ids[share >= 0.3 * share[0]])


def test_penalties_act_on_generated_tokens_only() -> None:
    logits = logits_of(5, 1)
    best, second = logits["top_ids"][0, :2]
    generated = np.zeros(VOCAB, np.bool_)
    for params in (
        SamplingParams(temperature=0, repetition_penalty=5.0),
        SamplingParams(temperature=0, presence_penalty=50.0),
    ):
        assert sample([SamplerRow(params, 0, generated)], **logits) == [best]
    generated[best] = True
    for params in (
        SamplingParams(temperature=0, repetition_penalty=5.0),
        SamplingParams(temperature=0, presence_penalty=50.0),
    ):
        assert sample([SamplerRow(params, 0, generated)], **logits) == [second]


def test_a_constraint_reaches_beyond_the_top_64() -> None:
    logits = logits_of(5, 1)
    allowed = np.zeros(VOCAB, np.bool_)
    worst = int(logits["full"].argmin())
    allowed[worst] = True
    assert sample([SamplerRow(SamplingParams(), 0, None, allowed)], **logits) == [worst]


def test_uniform_is_uniform_and_fixed() -> None:
    numbers = uniform(np.full(20_000, 3, np.uint64), np.arange(20_000, dtype=np.uint64))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    # Chi-squared with 19 degrees of freedom exceeds 43.8 once in a thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8
    # The first is the published first output of SplitMix64 for seed 0, 0xE220A8397B1DCDAF.
    first = uniform(np.array([0, 1], np.uint64), np.array([0, 0], np.uint64))
    np.testing.assert_allclose(first, [0.8833108082136426, 0.7497482413580301], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 0.001),
        ("temperature", float("nan")),
        ("top_k", 65),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("repetition_penalty", 0.0),
        ("presence_penalty", float("inf")),
        ("seed", -1),
        ("seed", 1 << 64),
        ("max_new_tokens", 0),
        ("stop", ("ok", "")),
    ],
)
def test_values_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=name):
        SamplingParams(**{name: value})  # type: ignore[arg-type]
