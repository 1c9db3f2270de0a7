import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from npc_engine.errors import InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor
from npc_engine.models.build import build_decoder
from npc_engine.models.gguf import open_gguf
from npc_engine.models.hf import open_hf_decoder
from npc_engine.models.weights import llama3_frequencies, rope_inverse_frequencies
from tests.stubs import HEAD_DIM, HIDDEN, INNER, NUM_HEADS, NUM_KV_HEADS, NUM_LAYERS, write_stub_gguf

PUBLISHED = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONFIG = {
    "num_hidden_layers": NUM_LAYERS,
    "num_attention_heads": NUM_HEADS,
    "num_key_value_heads": NUM_KV_HEADS,
    "head_dim": HEAD_DIM,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "vocab_size": 400,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "eos_token_id": 2,
}


def published_name(name):
    parts = name.split(".")
    if parts[0] != "blk":
        return f"{PUBLISHED[parts[0]]}.{parts[1]}"
    return f"model.layers.{parts[1]}.{PUBLISHED[parts[2]]}.{parts[3]}"


def write_folder(folder, *, architecture="llama", num_shards=1, store=None, **config):
    """The stub GGUF's weights as a published folder."""
    source = open_gguf(write_stub_gguf(folder / "source.gguf", architecture=architecture))
    tensors = {published_name(name): tensor.floats() for name, tensor in source.tensors.items()}
    names = sorted(tensors)
    weight_map = {name: f"model-{i % num_shards}.safetensors" for i, name in enumerate(names)}
    for file in set(weight_map.values()):
        part = {name: tensors[name] for name in names if weight_map[name] == file}
        if store == "bfloat16":
            save_bfloat16(part, folder / file)
        else:
            save_file({name: value.astype(store or np.float32) for name, value in part.items()}, folder / file)
    if num_shards > 1:
        index = json.dumps({"weight_map": weight_map})
        (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"model_type": architecture} | config), encoding="utf-8")
    source.load_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "source.gguf").rename(folder.parent / "source.gguf")
    return folder


def save_bfloat16(tensors, path):
    """The format's own layout, by hand: numpy has no bfloat16."""
    header, chunks, offset = {}, [], 0
    for name, value in tensors.items():
        data = (value.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        header[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(chunks))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "published"
    path.mkdir()
    return path


def build(source, out):
    out.mkdir()
    build_decoder(source, out)
    return {file.name: file.read_bytes() for file in out.iterdir()}


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_a_published_folder_and_its_gguf_build_the_same_graph(folder, tmp_path, architecture):
    write_folder(folder, architecture=architecture)
    published = build(folder, tmp_path / "a")
    converted = build(tmp_path / "source.gguf", tmp_path / "b")
    assert published["decoder.onnx.data"] == converted["decoder.onnx.data"]
    assert published["decoder.json"] == converted["decoder.json"]
    assert json.loads(published["chat_template.json"]) == json.loads(converted["chat_template.json"])


def test_shards_are_one_model(folder, tmp_path):
    write_folder(folder, num_shards=3)
    assert (
        build(folder, tmp_path / "a")["decoder.onnx.data"]
        == build(tmp_path / "source.gguf", tmp_path / "b")["decoder.onnx.data"]
    )
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(InvalidModelFile, match=r"shards are missing: model-1\.safetensors"):
        open_hf_decoder(folder)


def test_half_precision_is_widened(folder, tmp_path):
    exact = open_gguf(write_stub_gguf(tmp_path / "stub.gguf")).tensors["blk.0.ffn_up.weight"].floats()
    write_folder(folder, store=np.float16)
    half = open_hf_decoder(folder).tensors["blk.0.ffn_up.weight"]
    assert half.stored == "F16"
    np.testing.assert_array_equal(half.floats(), exact)  # the stub is float16 already


def test_bfloat16_is_widened(folder, tmp_path):
    exact = open_gguf(write_stub_gguf(tmp_path / "stub.gguf")).tensors["blk.0.ffn_up.weight"].floats()
    write_folder(folder, store="bfloat16")
    brief = open_hf_decoder(folder).tensors["blk.0.ffn_up.weight"]
    assert brief.stored == "BF16"
    np.testing.assert_allclose(brief.float_rows(3, 7), exact[3:7], rtol=2**-7)


def test_a_tied_output_is_not_built_twice(folder):
    write_folder(folder, tie_word_embeddings=True)
    assert "output.weight" not in open_hf_decoder(folder).tensors


def test_end_tokens_come_from_both_files(folder):
    write_folder(folder, eos_token_id=[2, 0])
    (folder / "generation_config.json").write_text('{"eos_token_id": 5}', encoding="utf-8")
    assert open_hf_decoder(folder).eos_token_ids == (2, 0, 5)


def test_rope_scaling(folder):
    plain = rope_inverse_frequencies(HEAD_DIM, 10000.0)
    linear = {"rope_type": "linear", "factor": 2.0}
    write_folder(folder, rope_scaling=linear)
    np.testing.assert_allclose(open_hf_decoder(folder).config.inverse_frequencies, plain / 2)


def test_llama3_scaling_keeps_short_waves_and_stretches_long_ones():
    plain = rope_inverse_frequencies(128, 500000.0)
    scaled = llama3_frequencies(plain, factor=32, low_freq_factor=1, high_freq_factor=4, original_context=8192)
    waves = 2 * np.pi / plain
    np.testing.assert_allclose(scaled[waves < 8192 / 4], plain[waves < 8192 / 4])
    np.testing.assert_allclose(scaled[waves > 8192], plain[waves > 8192] / 32)
    between = (waves > 8192 / 4) & (waves < 8192)
    assert between.any()
    assert ((scaled < plain) & (scaled > plain / 32))[between].all()


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"model_type": "gemma3"}, UnsupportedArchitecture, r"'gemma3' is not supported\n.*llama, qwen2, qwen3"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4}}, UnsupportedArchitecture, "RoPE scaling 'yarn'"),
        ({"hidden_size": "wide"}, InvalidModelFile, "config.json"),
        ({"rms_norm_eps": None}, InvalidModelFile, "config.json"),
        ({"num_attention_heads": 3}, InvalidModelFile, "impossible hyper-parameters"),
        ({"rope_scaling": {"rope_type": "linear"}}, InvalidModelFile, "config.json lacks factor"),
    ],
)
def test_a_wrong_configuration_is_refused(folder, config, error, message):
    write_folder(folder, **config)
    with pytest.raises(error, match=message):
        open_hf_decoder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model-0.safetensors"])
def test_a_missing_file_is_named(folder, tmp_path, name):
    write_folder(folder, num_shards=2)
    (folder / name).unlink()
    with pytest.raises(InvalidModelFile, match=name.replace(".", r"\.")):
        build(folder, tmp_path / "out")


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999])
def test_a_cut_file_is_refused(folder, keep):
    write_folder(folder)
    path = folder / "model-0.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InvalidModelFile, match="not a readable safetensors file"):
        open_hf_decoder(folder)


def test_another_float_type_is_named(folder):
    write_folder(folder, store=np.float64)
    with pytest.raises(UnsupportedTensor, match=r"is stored as F64\n.*F32, F16, BF16"):
        open_hf_decoder(folder)
