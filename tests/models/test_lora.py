import json
from dataclasses import replace

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from npc_engine.errors import (
    AdapterMismatch,
    ConfigError,
    InvalidAdapter,
    ModelError,
    UnsupportedAdapter,
    UnsupportedTensor,
)
from npc_engine.models.build import build_decoder, open_weights
from npc_engine.models.cache import sha256_of
from npc_engine.models.catalogue import load_catalogue
from npc_engine.models.install import find_installed, import_model, list_models, verify
from npc_engine.models.lora import LINEAR_MODULES, merge, read_adapter
from npc_engine.models.quantize import quantize_rows
from tests.models.test_hf import save_bfloat16, write_folder
from tests.stubs import HIDDEN, INNER, NUM_LAYERS, write_stub_bert, write_stub_gguf
from tools.reference_decoder import FolderWeights

RANK, ALPHA = 4, 12
KEY = 32  # rows of k and v
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (KEY, HIDDEN),
    "self_attn.v_proj": (KEY, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
CANONICAL = {module: part for part, module in LINEAR_MODULES.items()}
CONFIG = {
    "peft_type": "LORA",
    "r": RANK,
    "lora_alpha": ALPHA,
    "base_model_name_or_path": "studio/stub",
    "bias": "none",
    "init_lora_weights": True,
    "modules_to_save": None,
    "use_dora": False,
}


def key(module, tensor, layer=0):
    return f"base_model.model.model.layers.{layer}.{module}.{tensor}"


def adapter_tensors(modules=tuple(SHAPES), *, rank=RANK, seed=1):
    """Random halves for every layer, by PEFT's names."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for layer in range(NUM_LAYERS):
        for module in modules:
            rows, columns = SHAPES[module]
            tensors[key(module, "lora_A.weight", layer)] = rng.standard_normal((rank, columns)) * columns**-0.5
            tensors[key(module, "lora_B.weight", layer)] = rng.standard_normal((rows, rank)) * 0.1
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def save_adapter(folder, tensors=None, **config):
    """Write a PEFT folder; a setting of ... is left out of its config."""
    folder.mkdir(exist_ok=True)
    settings = {name: value for name, value in (CONFIG | config).items() if value is not ...}
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    save_file(adapter_tensors() if tensors is None else tensors, folder / "adapter_model.safetensors")
    return folder


def by_numpy(base, tensors, scale=ALPHA / RANK):
    """The merged float32 matrices by GGUF's names, from the published order of rows alone."""
    merged = {name: tensor.floats() for name, tensor in base.tensors.items()}
    for name in tensors:
        if name.endswith("lora_A.weight"):
            layer, module = name.split(".")[4], name.split(".")[6]
            a, b = tensors[name], tensors[name.replace("lora_A", "lora_B")]
            merged[f"blk.{layer}.{CANONICAL[module]}.weight"] += np.float32(scale) * b @ a
    return merged


@pytest.fixture
def adapter(tmp_path):
    return tmp_path / "adapter"


def stub(tmp_path, **options):
    return write_stub_gguf(tmp_path / "stub.gguf", **options)


def merged_floats(tmp_path, adapter):
    source = merge(open_weights(tmp_path / "stub.gguf"), read_adapter(adapter))
    return {name: tensor.floats() for name, tensor in source.tensors.items()}


def equal(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5, err_msg=name)


# --- what a merge computes ----------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_a_merged_gguf_is_the_sum_in_the_published_order_of_rows(tmp_path, adapter, architecture):
    """A Llama GGUF keeps the rows of q and k in another order than the adapter does."""
    base = open_weights(stub(tmp_path, architecture=architecture))
    save_adapter(adapter)
    equal(merged_floats(tmp_path, adapter), by_numpy(base, adapter_tensors()))


def test_a_gguf_and_its_published_folder_merge_to_the_same(tmp_path, adapter):
    folder = tmp_path / "published"
    folder.mkdir()
    write_folder(folder)
    (tmp_path / "source.gguf").rename(tmp_path / "stub.gguf")
    lora = read_adapter(save_adapter(adapter))
    published = merge(open_weights(folder), lora)
    equal(
        {name: tensor.floats() for name, tensor in published.tensors.items()},
        merged_floats(tmp_path, adapter),
    )


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_the_fp32_graph_holds_the_merged_matrices(tmp_path, adapter, architecture):
    base = open_weights(stub(tmp_path, architecture=architecture))
    out = tmp_path / "out"
    out.mkdir()
    build_decoder(tmp_path / "stub.gguf", out, precision="fp32", adapter=save_adapter(adapter))
    graph = FolderWeights(out)
    expected = by_numpy(base, adapter_tensors())
    for layer in range(NUM_LAYERS):
        for part in LINEAR_MODULES:
            name = f"blk.{layer}.{part}"
            np.testing.assert_allclose(graph.matrix(name), expected[f"{name}.weight"], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("stored", "step", "loss"), [("F16", 1 / 6, 0.2), ("Q4_0", 1 / 127, 0.02), ("Q4_1", 1 / 127, 0.02)]
)
def test_the_int4_graph_holds_the_merged_matrices_within_a_step(tmp_path, adapter, stored, step, loss):
    """A step against the largest weight; the loss against the adapter's change. What was quantized comes in 8 bits."""
    base = open_weights(stub(tmp_path, tensor_type=gguf.GGMLQuantizationType[stored]))
    out = tmp_path / "out"
    out.mkdir()
    build_decoder(tmp_path / "stub.gguf", out, adapter=save_adapter(adapter))
    graph = FolderWeights(out)
    expected, unmerged = by_numpy(base, adapter_tensors()), by_numpy(base, {})
    for layer in range(NUM_LAYERS):
        for part in LINEAR_MODULES:
            name = f"blk.{layer}.{part}"
            found, wanted = graph.matrix(name), expected[f"{name}.weight"]
            error, change = np.abs(found - wanted), wanted - unmerged[f"{name}.weight"]
            assert (error <= np.abs(wanted).max(axis=1, keepdims=True) * step).all(), name
            assert np.linalg.norm(error) < loss * np.linalg.norm(change), name


def test_only_what_the_adapter_names_is_changed(tmp_path, adapter):
    base = open_weights(stub(tmp_path))
    tensors = adapter_tensors(["self_attn.q_proj", "self_attn.v_proj"])
    source = merge(base, read_adapter(save_adapter(adapter, tensors)))
    changed = {name for name in base.tensors if source.tensors[name] is not base.tensors[name]}
    assert changed == {f"blk.{layer}.{part}.weight" for layer in range(NUM_LAYERS) for part in ("attn_q", "attn_v")}


def test_a_row_range_is_a_part_of_the_whole(tmp_path, adapter):
    source = merge(open_weights(stub(tmp_path)), read_adapter(save_adapter(adapter)))
    tensor = source.tensors["blk.1.attn_q.weight"]
    np.testing.assert_allclose(tensor.float_rows(5, 23), tensor.floats()[5:23], rtol=0, atol=1e-6)


def test_rank_stabilised_adapters_are_scaled_by_the_root(tmp_path, adapter):
    base = open_weights(stub(tmp_path))
    save_adapter(adapter, use_rslora=True)
    equal(merged_floats(tmp_path, adapter), by_numpy(base, adapter_tensors(), ALPHA / RANK**0.5))


def test_patterns_give_modules_their_own_rank_and_alpha(tmp_path, adapter):
    base = open_weights(stub(tmp_path))
    wide, narrow = ["mlp.down_proj", "self_attn.k_proj"], ["self_attn.q_proj", "self_attn.o_proj"]
    large, small = adapter_tensors(wide, rank=8), adapter_tensors(narrow)
    large[key("mlp.up_proj", "lora_A.weight", 1)] = np.ones((2, HIDDEN), np.float32)
    large[key("mlp.up_proj", "lora_B.weight", 1)] = np.ones((INNER, 2), np.float32)
    save_adapter(
        adapter,
        large | small,
        rank_pattern={"down_proj|k_proj": 8, r"layers\.1\.mlp\.up_proj": 2},
        alpha_pattern={"down_proj": 40, "k_proj": 16, r"model.layers.1.mlp.up_proj": 1, "proj": 999, "o_pro": 7},
    )
    pairs = read_adapter(adapter).pairs
    scales = {name: pair.scale for name, pair in pairs.items() if name.startswith("blk.1.")}
    assert scales == {
        "blk.1.ffn_down.weight": 40 / 8,
        "blk.1.attn_k.weight": 16 / 8,
        "blk.1.ffn_up.weight": 1 / 2,
        "blk.1.attn_q.weight": ALPHA / RANK,  # `proj` and `o_pro` are no whole names
        "blk.1.attn_output.weight": ALPHA / RANK,
    }
    merged = merged_floats(tmp_path, adapter)["blk.1.ffn_up.weight"]
    np.testing.assert_allclose(merged, base.tensors["blk.1.ffn_up.weight"].floats() + 1, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["bias", "base_layer.bias"])
def test_a_trained_bias_takes_the_place_of_the_base_models(tmp_path, adapter, name):
    stub(tmp_path, architecture="qwen2")
    trained = np.arange(HIDDEN, dtype=np.float32)
    save_adapter(adapter, adapter_tensors() | {key("self_attn.q_proj", name): trained}, bias="all")
    np.testing.assert_array_equal(merged_floats(tmp_path, adapter)["blk.0.attn_q.bias"], trained)


def test_a_bias_of_the_second_half_is_scaled_and_added(tmp_path, adapter):
    base = open_weights(stub(tmp_path, architecture="qwen2"))
    change = np.arange(HIDDEN, dtype=np.float32)
    save_adapter(adapter, adapter_tensors() | {key("self_attn.q_proj", "lora_B.bias"): change}, lora_bias=True)
    expected = base.tensors["blk.0.attn_q.bias"].floats() + ALPHA / RANK * change
    np.testing.assert_allclose(merged_floats(tmp_path, adapter)["blk.0.attn_q.bias"], expected, rtol=1e-6)


def test_half_precision_halves_are_widened(tmp_path, adapter):
    halves = {name: values.astype(np.float16) for name, values in adapter_tensors().items()}
    exact = read_adapter(save_adapter(adapter, halves)).pairs
    for name, pair in exact.items():
        assert pair.a.dtype == pair.b.dtype == np.float32, name
    rounded = {
        name: (values.view(np.uint32) & 0xFFFF0000).view(np.float32) for name, values in adapter_tensors().items()
    }
    save_bfloat16(rounded, adapter / "adapter_model.safetensors")
    pair = read_adapter(adapter).pairs["blk.0.attn_q.weight"]
    np.testing.assert_array_equal(pair.a, rounded[key("self_attn.q_proj", "lora_A.weight")])


# --- adapters that are refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"peft_type": "LOHA"}, "'LOHA'"),
        ({"peft_type": ...}, "None"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"target_parameters": ["mlp.experts"]}, "target_parameters"),
        ({"use_dora": True}, "use_dora"),
        ({"use_qalora": True}, "use_qalora"),
        ({"use_bdlora": {"nblocks": 2}}, "use_bdlora"),
        ({"alora_invocation_tokens": [5]}, "alora_invocation_tokens"),
        ({"arrow_config": {"top_k": 3}}, "arrow_config"),
        ({"init_lora_weights": "pissa"}, "changed the base"),
        ({"init_lora_weights": "pissa_niter_16"}, "changed the base"),
        ({"init_lora_weights": "olora"}, "changed the base"),
        ({"init_lora_weights": "loftq"}, "changed the base"),
        ({"init_lora_weights": "corda"}, "changed the base"),
    ],
)
def test_a_kind_that_is_no_plain_sum_is_refused(adapter, setting, says):
    with pytest.raises(UnsupportedAdapter, match=says) as caught:
        read_adapter(save_adapter(adapter, **setting))
    assert caught.value.hint


@pytest.mark.parametrize("setting", ["gaussian", "eva", "orthogonal", False, ...])
def test_an_initialisation_that_leaves_the_base_alone_is_read(adapter, setting):
    assert read_adapter(save_adapter(adapter, init_lora_weights=setting)).rank == RANK


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("base_model.model.lm_head.lora_A.weight", "changes lm_head"),
        ("base_model.model.model.embed_tokens.lora_A.weight", "changes model.embed_tokens"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "no half of a pair"),
        ("base_model.model.lm_head.weight", "no half of a pair"),
        (key("self_attn.q_proj", "lora_magnitude_vector"), "no half of a pair"),
        (key("self_attn.qkv_proj", "lora_A.weight"), "changes model.layers.0.self_attn.qkv_proj"),
        (key("input_layernorm", "bias"), "changes model.layers.0.input_layernorm"),
        (key("mlp.experts.3.up_proj", "lora_A.weight"), "experts"),
    ],
)
def test_a_tensor_of_something_else_is_refused(adapter, name, says):
    extra = {name: np.ones((RANK, HIDDEN), np.float32)}
    with pytest.raises(UnsupportedAdapter, match=says):
        read_adapter(save_adapter(adapter, adapter_tensors() | extra))


def without(*names):
    return {name: values for name, values in adapter_tensors().items() if name not in names}


A, B = key("self_attn.q_proj", "lora_A.weight"), key("self_attn.q_proj", "lora_B.weight")
ONES = np.ones((RANK, HIDDEN), np.float32)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({}, "holds no LoRA pair"),
        ({key("self_attn.q_proj", "bias"): np.ones(HIDDEN, np.float32)}, "holds no LoRA pair"),
        (without(A), "q_proj has only its lora_B"),
        (without(B), "q_proj has only its lora_A"),
        (adapter_tensors() | {A: ONES[:-1]}, "no pair of rank 4"),
        (adapter_tensors() | {A: ONES[:-1], B: np.ones((HIDDEN, RANK - 1), np.float32)}, "no pair of rank 4"),
        (adapter_tensors() | {A: np.ones((RANK, 4, 16), np.float32)}, "no pair of rank 4"),
        (adapter_tensors() | {A: np.ones(RANK, np.float32)}, "no pair of rank 4"),
        (adapter_tensors() | {A: np.array(1, np.float32)}, r"has shape \(\)"),
        (adapter_tensors() | {A: np.ones((RANK, 0), np.float32)}, "shape|readable"),
        (adapter_tensors() | {A: ONES * np.nan}, "NaN or infinity"),
        (adapter_tensors() | {B: np.full((HIDDEN, RANK), np.inf, np.float32)}, "NaN or infinity"),
        (adapter_tensors() | {A: ONES * 1e30, B: np.full((HIDDEN, RANK), 1e30, np.float32)}, "exceeds"),
        (adapter_tensors() | {A.removeprefix("base_model.model."): ONES}, "twice"),
        (without(A, B) | {key("self_attn.q_proj", "lora_B.bias"): np.ones(HIDDEN, np.float32)}, "no pair"),
    ],
)
def test_numbers_that_are_no_adapter_are_refused(adapter, tensors, says):
    with pytest.raises(InvalidAdapter, match=says) as caught:
        read_adapter(save_adapter(adapter, tensors))
    assert caught.value.hint


@pytest.mark.parametrize("value", [..., None, 0, -1, True, "16", [4], float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize("setting", ["r", "lora_alpha"])
def test_a_rank_or_alpha_that_is_no_positive_number_is_refused(adapter, setting, value):
    with pytest.raises(InvalidAdapter, match=rf"adapter_config\.json: {setting} of model\.layers\.0\.\S+ is"):
        read_adapter(save_adapter(adapter, **{setting: value}))


@pytest.mark.parametrize("pattern", [["q_proj"], "q_proj", 3, {"q_proj(": 4}])
def test_a_pattern_that_is_none_is_refused(adapter, pattern):
    with pytest.raises(InvalidAdapter, match="rank_pattern"):
        read_adapter(save_adapter(adapter, rank_pattern=pattern))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_a_config_that_is_none_is_refused(adapter, content):
    (save_adapter(adapter) / "adapter_config.json").write_bytes(content)
    with pytest.raises(InvalidAdapter, match=r"adapter_config\.json"):
        read_adapter(adapter)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0not json at all!"])
def test_weights_that_are_no_safetensors_are_refused(adapter, content):
    (save_adapter(adapter) / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(InvalidAdapter, match="not a readable safetensors file"):
        read_adapter(adapter)


def test_every_cut_of_the_weights_is_refused(adapter):
    path = save_adapter(adapter) / "adapter_model.safetensors"
    content = path.read_bytes()
    for size in (7, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InvalidAdapter):
            read_adapter(adapter)


def test_a_folder_that_is_none_says_what_is_missing(adapter):
    with pytest.raises(InvalidAdapter, match="not there; an adapter is a folder"):
        read_adapter(adapter)
    save_adapter(adapter)
    with pytest.raises(InvalidAdapter, match="a file; an adapter is a folder"):
        read_adapter(adapter / "adapter_model.safetensors")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InvalidAdapter, match=r"adapter_model\.safetensors is missing") as caught:
        read_adapter(adapter)
    assert "may run code" in caught.value.hint
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(InvalidAdapter, match=r"adapter_config\.json is missing"):
        read_adapter(adapter)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (
            {key("mlp.up_proj", "lora_A.weight", 2): ONES, key("mlp.up_proj", "lora_B.weight", 2): ONES.T},
            "has 2 layers",
        ),
        ({key("mlp.up_proj", "lora_B.weight"): np.ones((INNER + 1, RANK), np.float32)}, r"shape \(129, 64\)"),
        ({A: np.ones((RANK, HIDDEN + 32), np.float32)}, r"shape \(64, 96\)"),
        ({key("self_attn.q_proj", "bias"): np.ones(HIDDEN, np.float32)}, "has no bias there"),
        ({key("self_attn.q_proj", "lora_B.bias"): np.ones(HIDDEN, np.float32)}, "has no bias there"),
    ],
)
def test_an_adapter_of_another_base_is_refused_before_anything_is_written(tmp_path, adapter, extra, says):
    save_adapter(adapter, adapter_tensors() | extra)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(AdapterMismatch, match=says) as caught:
        build_decoder(stub(tmp_path), out, adapter=adapter)
    assert "studio/stub" in caught.value.hint
    assert not list(out.iterdir())


def test_rows_that_are_no_whole_blocks_are_a_coded_error(tmp_path, adapter):
    base = open_weights(stub(tmp_path, tensor_type=gguf.GGMLQuantizationType.Q4_1))
    tensor = merge(base, read_adapter(save_adapter(adapter))).tensors["blk.0.attn_q.weight"]
    with pytest.raises(UnsupportedTensor, match="multiple of 32"):
        quantize_rows(replace(tensor, shape=(64, 63)), 0, 64, 4)


# --- as an import -------------------------------------------------------------------------------


def test_an_import_records_the_adapter_and_stands_like_any_model(tmp_path, adapter):
    cache = tmp_path / "cache"
    save_adapter(adapter, adapter_tensors(["self_attn.v_proj", "self_attn.q_proj"]))
    model = import_model(
        str(stub(tmp_path, tensor_type=gguf.GGMLQuantizationType.Q4_0)), "mira", cache, adapter=adapter
    )
    record = model.manifest.source["adapter"]
    assert record == {
        "path": str(adapter),
        "base_model": "studio/stub",
        "rank": RANK,
        "modules": ["q_proj", "v_proj"],
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in sorted(adapter.iterdir())
        },
    }
    assert verify("mira", cache) == find_installed("mira", cache) == model
    listed = list_models(cache, load_catalogue())[-1]
    assert (listed.name, listed.state, listed.title) == ("mira", "installed", f"{tmp_path / 'stub.gguf'} with adapter")
    plain = import_model(str(tmp_path / "stub.gguf"), "plain", cache)
    assert "adapter" not in plain.manifest.source
    name = "decoder.onnx.data"
    assert (plain.path / name).read_bytes() != (model.path / name).read_bytes()


def test_an_adapter_of_zeros_builds_the_base_model(tmp_path, adapter):
    cache = tmp_path / "cache"
    zeros = {name: values * 0 for name, values in adapter_tensors().items()}
    merged = import_model(str(stub(tmp_path)), "merged", cache, precision="fp32", adapter=save_adapter(adapter, zeros))
    plain = import_model(str(tmp_path / "stub.gguf"), "plain", cache, precision="fp32")
    name = "decoder.onnx.data"
    assert (plain.path / name).read_bytes() == (merged.path / name).read_bytes()


def test_an_encoder_takes_no_adapter(tmp_path, adapter):
    bert = tmp_path / "bert"
    bert.mkdir()
    write_stub_bert(bert)
    with pytest.raises(ConfigError, match="no adapters"):
        import_model(str(bert), "mine", tmp_path / "cache", adapter=save_adapter(adapter))


def test_a_wrong_adapter_is_told_before_anything_is_fetched(tmp_path, adapter, monkeypatch):
    monkeypatch.setattr("npc_engine.models.registry.subprocess.Popen", None)  # a fetch would call it
    with pytest.raises(ModelError) as caught:
        import_model("tiny", "mine", tmp_path / "cache", adapter=save_adapter(adapter, use_dora=True))
    assert caught.value.code == "NPC160"
    assert not list((tmp_path / "cache").glob("downloads/*"))
