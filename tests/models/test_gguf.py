import contextlib

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as GgmlType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc_engine.errors import InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor, UnsupportedTokenizer
from npc_engine.models.build import build_decoder
from npc_engine.models.gguf import open_gguf
from tests.stubs import HEAD_DIM, HIDDEN, NUM_HEADS, NUM_LAYERS, write_stub_gguf


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    return write_stub_gguf(tmp_path_factory.mktemp("gguf") / "stub.gguf")


def test_hyper_parameters_are_read(stub):
    config = open_gguf(stub).config
    assert (config.architecture, config.num_layers, config.num_heads) == ("llama", NUM_LAYERS, NUM_HEADS)
    assert (config.head_dim, config.hidden_size, config.max_context_tokens) == (HEAD_DIM, HIDDEN, 512)
    np.testing.assert_allclose(config.inverse_frequencies, 10000.0 ** -(np.arange(0, HEAD_DIM, 2) / HEAD_DIM))


def test_llama_rows_are_put_back_in_half_split_order(stub):
    tensor = open_gguf(stub).tensors["blk.0.attn_k.weight"]
    raw = tensor.raw.astype(np.float32)
    half = HEAD_DIM // 2
    for head in range(len(raw) // HEAD_DIM):
        rows = tensor.floats()[head * HEAD_DIM :]
        for pair in range(half):  # stored: first and second of each rotary pair side by side
            np.testing.assert_array_equal(rows[pair], raw[head * HEAD_DIM + 2 * pair])
            np.testing.assert_array_equal(rows[half + pair], raw[head * HEAD_DIM + 2 * pair + 1])


def test_other_rows_and_other_architectures_stay_in_order(tmp_path, stub):
    assert open_gguf(stub).tensors["blk.0.attn_v.weight"].row_order is None
    qwen = open_gguf(write_stub_gguf(tmp_path / "qwen.gguf", architecture="qwen2"))
    assert qwen.tensors["blk.0.attn_q.weight"].row_order is None


def test_unknown_architecture_names_what_is_supported(tmp_path):
    path = write_stub_gguf(tmp_path / "other.gguf", architecture="gemma3")
    with pytest.raises(UnsupportedArchitecture, match=r"'gemma3' is not supported\n  hint: .*llama, qwen2, qwen3"):
        open_gguf(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100, b"GGUF" + b"\xff" * 64, b"\0" * 4096])
def test_what_is_not_gguf_is_refused(tmp_path, content):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(InvalidModelFile, match=r"bad.gguf: not a readable GGUF file"):
        open_gguf(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidModelFile, match=r"none.gguf"):
        open_gguf(tmp_path / "none.gguf")


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_refused(stub, tmp_path, share):
    content = stub.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InvalidModelFile):
        open_gguf(path)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_header_bytes_give_a_model_or_a_coded_error(stub, tmp_path, data):
    content = bytearray(stub.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # Counts, lengths and types lie in the first kilobyte; the vocabulary follows.
        content[data.draw(st.integers(0, 1023))] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.gguf"
    path.write_bytes(bytes(content))
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    with contextlib.suppress(InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor, UnsupportedTokenizer):
        build_decoder(path, out)


def edited(tmp_path, *, drop=(), add=()):
    """A stub file written again by the format's own writer, without some fields or tensors, with others."""
    reader = gguf.GGUFReader(write_stub_gguf(tmp_path / "whole.gguf", architecture="qwen2"))
    path = tmp_path / "edited.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in drop:
            continue
        sub_type = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub_type)
    for name, value, kind in add:
        writer.add_key_value(name, value, kind)
    for tensor in reader.tensors:
        if tensor.name not in drop:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_missing_hyper_parameter_is_named(tmp_path):
    with pytest.raises(InvalidModelFile, match=r"qwen2.feed_forward_length is missing"):
        open_gguf(edited(tmp_path, drop=["qwen2.feed_forward_length"]))


@pytest.mark.parametrize("name", ["blk.1.ffn_up.weight", "blk.0.attn_k.bias", "output_norm.weight"])
def test_a_missing_tensor_is_named(tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UnsupportedTensor, match=rf"tensor {name} is missing"):
        build_decoder(edited(tmp_path, drop=[name]), out)


def test_linear_rope_scaling_divides_the_frequencies(tmp_path):
    kinds = gguf.GGUFValueType
    scaling = [
        ("qwen2.rope.scaling.type", "linear", kinds.STRING),
        ("qwen2.rope.scaling.factor", 4.0, kinds.FLOAT32),
    ]
    config = open_gguf(edited(tmp_path, add=scaling)).config
    np.testing.assert_allclose(config.inverse_frequencies * 4, 10000.0 ** -(np.arange(0, HEAD_DIM, 2) / HEAD_DIM))


def test_other_rope_scaling_is_refused(tmp_path):
    path = edited(tmp_path, add=[("qwen2.rope.scaling.type", "yarn", gguf.GGUFValueType.STRING)])
    with pytest.raises(UnsupportedArchitecture, match="RoPE scaling 'yarn'"):
        open_gguf(path)


def test_partial_rope_is_refused(tmp_path):
    path = edited(tmp_path, add=[("qwen2.rope.dimension_count", 8, gguf.GGUFValueType.UINT32)])
    with pytest.raises(UnsupportedArchitecture, match="RoPE over 8 of 16"):
        open_gguf(path)


def test_an_unreadable_tensor_type_is_named(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "qwen2")
    reader = gguf.GGUFReader(write_stub_gguf(tmp_path / "whole.gguf", architecture="qwen2"))
    for name, field in reader.fields.items():
        if name.startswith("qwen2."):
            writer.add_key_value(name, field.contents(), field.types[0])
    writer.add_tensor("token_embd.weight", np.zeros((400, HIDDEN), np.int8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedTensor, match=r"token_embd.weight is stored as I8"):
        open_gguf(tmp_path / "odd.gguf")


@pytest.mark.parametrize("kind", [GgmlType.F32, GgmlType.BF16, GgmlType.Q8_0, GgmlType.Q4_0, GgmlType.Q4_1])
def test_tensors_dequantize_as_the_format_says(tmp_path, kind):
    path = write_stub_gguf(tmp_path / "stub.gguf", architecture="qwen2", tensor_type=kind)
    tensor = open_gguf(path).tensors["blk.0.ffn_up.weight"]
    expected = next(t for t in gguf.GGUFReader(path).tensors if t.name == tensor.name)
    assert tensor.stored == kind.name
    np.testing.assert_array_equal(tensor.float_rows(5, 9), gguf.quants.dequantize(expected.data[5:9], kind))
