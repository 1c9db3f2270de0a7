from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.errors import KvBudgetTooSmall
from npc_engine.inference.kv_memory import (
    SMALLEST_SLOT_TOKENS,
    BlockedKvMemory,
    DeviceKvMemory,
    HostKvMemory,
    KvMemory,
    SizeClass,
    allocate_kv,
    plan_slots,
)
from npc_engine.inference.onnx_session import cuda_problem
from npc_engine.inference.spec import DecoderSpec

PARTS, HEADS, DIM = 4, 2, 4
LENGTHS = (8, 5)  # of the slots' two classes
SLOTS = (2, 3)


def blocked(kind: type[HostKvMemory] | type[DeviceKvMemory], dtype: str, **options: str) -> BlockedKvMemory:
    return BlockedKvMemory(
        [
            kind((PARTS, slots, HEADS, tokens, DIM), np.dtype(dtype), **options)  # type: ignore[arg-type]
            for slots, tokens in zip(SLOTS, LENGTHS, strict=True)
        ]
    )


SLOT = st.integers(0, sum(SLOTS) - 1)
CALLS = st.lists(
    st.tuples(st.sampled_from(["write", "copy", "exchange"]), SLOT, SLOT, st.integers(0, 5), st.integers(0, 5)),
    max_size=12,
)


def check_against_arrays(memory: KvMemory, dtype: str, calls: list[tuple[str, int, int, int, int]]) -> None:
    """Do the same to the memory and to one plain array a slot."""
    lengths = [tokens for tokens, slots in zip(LENGTHS, SLOTS, strict=True) for _ in range(slots)]
    model = [np.zeros((PARTS, HEADS, length, DIM), dtype) for length in lengths]
    for number, (call, left, right, few, many) in enumerate(calls):
        if call == "write":
            values = np.arange(PARTS * HEADS * many * DIM).reshape(PARTS, HEADS, many, DIM) + 1000 * (number + 1)
            start = min(few, lengths[left] - many)
            memory.write(left, values.astype(dtype), start=start)
            model[left][:, :, start : start + many] = values
        elif left == right:
            continue
        elif call == "copy":
            memory.copy(left, right, few)
            model[right][:, :, :few] = model[left][:, :, :few]
        else:
            memory.exchange(left, right, num_left=few, num_right=many)
            kept = model[left][:, :, :few].copy()
            model[left][:, :, :many] = model[right][:, :, :many]
            model[right][:, :, :few] = kept
        for slot, length in enumerate(lengths):
            np.testing.assert_array_equal(memory.read(slot, length), model[slot])
            np.testing.assert_array_equal(memory.read(slot, length - 1, start=2), model[slot][:, :, 2:-1])


@settings(deadline=None, max_examples=60)
@given(CALLS)
def test_host_copies_are_what_arrays_do(calls: list[tuple[str, int, int, int, int]]) -> None:
    check_against_arrays(blocked(HostKvMemory, "float32"), "float32", calls)


@settings(deadline=None, max_examples=20)
@given(CALLS, st.sampled_from(["float32", "float16"]))
def test_the_copy_graphs_of_a_device_do_what_arrays_do(calls: list[tuple[str, int, int, int, int]], dtype: str) -> None:
    check_against_arrays(blocked(DeviceKvMemory, dtype, device="cpu"), dtype, calls)


@pytest.mark.gpu
@pytest.mark.skipif(bool(cuda_problem()), reason=cuda_problem())
def test_the_copy_graphs_run_on_cuda() -> None:
    calls = [("write", slot, 0, 0, 5) for slot in range(5)] + [("exchange", 0, 1, 3, 5), ("copy", 4, 2, 4, 0)]
    check_against_arrays(blocked(DeviceKvMemory, "float16", device="cuda"), "float16", calls)


@pytest.mark.parametrize("kind", [HostKvMemory, DeviceKvMemory])
def test_a_view_is_where_reads_and_writes_go_and_stays_there(kind: type[HostKvMemory] | type[DeviceKvMemory]) -> None:
    memory = blocked(kind, "float32", **({"device": "cpu"} if kind is DeviceKvMemory else {}))
    before = memory.view(1, 3, 5)
    assert before.shape == (2, HEADS, LENGTHS[1], DIM)
    memory.write(3, np.ones((PARTS, HEADS, 5, DIM), np.float32))
    memory.exchange(3, 4, num_left=5, num_right=5)
    assert memory.view(1, 3, 5) == before
    neighbour = memory.view(1, 4, 5)
    assert neighbour.address - before.address == HEADS * LENGTHS[1] * DIM * 4
    with pytest.raises(ValueError, match="several size classes"):
        memory.view(0, 1, 3)
    with pytest.raises(IndexError):
        memory.read(5, 1)


@given(
    budget=st.integers(0, 400_000),
    per_token=st.integers(1, 40),
    longest=st.integers(256, 9000),
    num_slots=st.integers(1, 64),
)
def test_a_plan_keeps_its_budget(budget: int, per_token: int, longest: int, num_slots: int) -> None:
    plan = {"bytes_per_token": per_token, "max_context_tokens": longest, "num_slots": num_slots}
    if budget < per_token * longest:
        with pytest.raises(KvBudgetTooSmall, match="does not hold one sequence") as caught:
            plan_slots(budget, **plan)
        assert str(per_token * longest) in caught.value.hint
        return
    classes = plan_slots(budget, **plan)
    tokens = sum(size.num_tokens * size.num_slots for size in classes)
    count = sum(size.num_slots for size in classes)
    assert tokens * per_token <= budget
    assert classes[0].num_tokens == longest
    assert all(size.num_slots > 0 for size in classes)
    assert 1 <= len(classes) <= 2
    assert count <= num_slots
    if count < num_slots:  # one more of the shortest would not fit
        assert (tokens + min(SMALLEST_SLOT_TOKENS, longest)) * per_token > budget
        assert classes[-1].num_tokens == min(SMALLEST_SLOT_TOKENS, longest) or len(classes) == 1
    elif len(classes) == 2:  # one more of full length would not fit
        assert (tokens + longest - classes[1].num_tokens) * per_token > budget


@pytest.mark.parametrize(
    ("budget", "classes"),
    [
        (None, [(2048, 8)]),
        (8 * 2048, [(2048, 8)]),
        (8 * 2048 - 1, [(2048, 7), (1024, 1)]),
        (10_000, [(2048, 1), (1024, 7)]),
        (2048 + 7 * 512, [(2048, 1), (512, 7)]),
        (2048 + 7 * 512 - 1, [(2048, 1), (512, 6)]),
        (2048, [(2048, 1)]),
    ],
)
def test_the_others_get_the_largest_length_at_which_all_fit(budget: int | None, classes: list[tuple[int, int]]) -> None:
    planned = plan_slots(budget, bytes_per_token=1, max_context_tokens=2048, num_slots=8)
    assert planned == tuple(SizeClass(*each) for each in classes)


def test_what_is_reserved_is_within_the_budget_and_says_when_slots_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = DecoderSpec(
        architecture="llama", precision="fp32", kv_dtype="float32", num_layers=2, num_heads=4, num_kv_heads=2,
        head_dim=4, hidden_size=16, vocab_size=10, max_context_tokens=4096, top_k=4, eos_token_ids=(0,),
    )  # fmt: skip
    per_token = 2 * 2 * 2 * 4 * 4
    budget = per_token * 3000
    memory = allocate_kv(spec, num_slots=4, max_context_tokens=1024, device="cpu", budget_bytes=budget)
    assert memory.nbytes <= budget
    assert memory.layout.nbytes == per_token
    assert memory.classes == (SizeClass(1024, 1), SizeClass(512, 3))
    assert not caplog.text
    allocate_kv(spec, num_slots=9, max_context_tokens=1024, device="cpu", budget_bytes=budget)
    assert "holds 4 of num_slots = 9" in caplog.text
