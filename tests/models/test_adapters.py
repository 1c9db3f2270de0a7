"""Adapters chosen a row at run time: each row computes what the model with its adapter merged computes."""

import gguf
import numpy as np
import onnx
import pytest

from npc_engine.config import EngineConfig
from npc_engine.errors import (
    AdapterMismatch,
    ConfigError,
    CorruptModel,
    InvalidAdapter,
    UnknownAdapter,
    UnsupportedAdapter,
)
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.adapters import read_runtime_adapter, stack_adapters
from npc_engine.models.build import build_decoder, open_weights
from npc_engine.models.install import import_model, verify
from npc_engine.models.lora import read_adapter
from tests.models.test_lora import adapter_tensors, key, save_adapter
from tests.stubs import HIDDEN, write_stub_bert, write_stub_gguf

CONFIG = EngineConfig(device="cpu", threads=1, max_context_tokens=256, num_slots=4, prefill_chunk_tokens=64)
IDS = list(range(5, 45))


def save_adapters(root):
    """Three of different ranks, modules and layers."""
    down = {
        name: values for name, values in adapter_tensors(["mlp.down_proj"], rank=8, seed=3).items() if ".1." in name
    }
    large = adapter_tensors(["self_attn.k_proj"], rank=6, seed=4)
    return {
        "all": save_adapter(root / "all"),
        "query-value": save_adapter(
            root / "qv", adapter_tensors(["self_attn.q_proj", "self_attn.v_proj"], seed=2), use_rslora=True
        ),
        "patterns": save_adapter(root / "patterns", down | large, r=8, rank_pattern={"k_proj": 6}, lora_alpha=5),
    }


def built(source, out, **options):
    """The folder of a model."""
    out.mkdir(parents=True)
    build_decoder(source, out, **options)
    return out


def prefill(decoder, slot, adapter):
    return decoder.prefill(slot, IDS, num_cached_tokens=0, adapter=adapter).full[0].copy()


def decode(decoder, slot, adapters):
    lengths = [len(IDS)] * len(adapters)
    return decoder.decode(slot, [7] * len(adapters), num_cached_tokens=lengths, adapters=adapters).full.copy()


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def models(request, tmp_path_factory):
    """float32 decoders: without adapters, with three to choose from, and with each merged."""
    root = tmp_path_factory.mktemp(request.param)
    source, adapters = write_stub_gguf(root / "stub.gguf", architecture=request.param), save_adapters(root)
    plain = built(source, root / "plain", precision="fp32")
    chosen = built(source, root / "chosen", precision="fp32", adapters=adapters)
    merged = [
        built(source, root / "merged" / name, precision="fp32", adapter=folder) for name, folder in adapters.items()
    ]
    return Decoder.load(chosen, config=CONFIG), [Decoder.load(each, config=CONFIG) for each in (plain, *merged)]


def test_a_row_without_an_adapter_is_the_plain_models_to_the_bit(models):
    chosen, (plain, *_) = models
    np.testing.assert_array_equal(prefill(chosen, 0, 0), prefill(plain, 0, 0))
    np.testing.assert_array_equal(decode(chosen, 0, [0]), decode(plain, 0, [0]))


@pytest.mark.parametrize("adapter", [1, 2, 3])
def test_a_row_with_an_adapter_is_the_merged_models(models, adapter):
    chosen, others = models
    plain, merged = others[0], others[adapter]
    found = prefill(chosen, 0, adapter)
    assert np.abs(found - prefill(plain, 0, 0)).max() > 0.5
    np.testing.assert_allclose(found, prefill(merged, 0, 0), atol=1e-4)
    np.testing.assert_allclose(decode(chosen, 0, [adapter]), decode(merged, 0, [0]), atol=1e-4)


@pytest.mark.parametrize("adapters", [[0, 1, 2, 3], [3, 0, 3, 1], [2, 2, 2, 2], [0, 0, 0, 0]])
def test_rows_of_a_mixed_batch_are_those_of_each_alone(models, adapters):
    chosen, _ = models
    for slot, adapter in enumerate(adapters):
        prefill(chosen, slot, adapter)
    alone = [decode(chosen, slot, [adapter])[0] for slot, adapter in enumerate(adapters)]
    np.testing.assert_allclose(decode(chosen, 0, adapters), alone, atol=1e-4)


def test_names_have_numbers_and_an_unknown_one_is_told(models):
    chosen, (plain, *_) = models
    assert [chosen.adapter_number(name) for name in (None, *chosen.spec.adapters)] == [0, 1, 2, 3]
    with pytest.raises(UnknownAdapter, match="'odo'") as caught:
        chosen.adapter_number("odo")
    assert "all, query-value, patterns" in caught.value.hint
    with pytest.raises(UnknownAdapter) as caught:
        plain.adapter_number("all")
    assert "none" in caught.value.hint
    with pytest.raises(ValueError, match="adapter 4 of 3"):
        decode(chosen, 0, [4])


def test_what_no_adapter_touches_has_no_further_nodes(tmp_path):
    source = write_stub_gguf(tmp_path / "stub.gguf")
    tensors = adapter_tensors(["self_attn.q_proj", "mlp.down_proj"])
    kept = {name: values for name, values in tensors.items() if "q_proj" not in name or ".0." in name}
    with_one = built(source, tmp_path / "one", precision="fp32", adapters={"a": save_adapter(tmp_path / "a", kept)})
    graph = onnx.load(str(with_one / "decoder.onnx"), load_external_data=False).graph
    adapted = [node.name.removesuffix("/adapted") for node in graph.node if node.name.endswith("/adapted")]
    assert adapted == ["blk.0.attn_qkv", "blk.0.ffn_down", "blk.1.ffn_down"]
    without = built(source, tmp_path / "none", precision="fp32")
    graph = onnx.load(str(without / "decoder.onnx"), load_external_data=False).graph
    assert not [node.name for node in graph.node if "lora" in node.name or "adapter" in node.name]
    assert not [value.name for value in graph.input if "adapter" in value.name]


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    root = tmp_path_factory.mktemp("int4")
    source = write_stub_gguf(root / "stub.gguf", tensor_type=gguf.GGMLQuantizationType.Q4_0)
    adapters = {name: folder for name, folder in save_adapters(root).items() if name != "patterns"}
    return built(source, root / "plain"), built(source, root / "chosen", adapters=adapters)


def test_an_int4_decode_graph_is_the_plain_one_where_no_adapter_is_chosen(quantized):
    config = CONFIG.model_copy(update={"prefill_graph": False})
    plain, chosen = (Decoder.load(folder, config=config) for folder in quantized)
    np.testing.assert_array_equal(prefill(chosen, 0, 0), prefill(plain, 0, 0))
    assert np.abs(prefill(chosen, 0, 1) - prefill(plain, 0, 0)).max() > 0.5


def test_the_prefill_graph_passes_its_gate_with_every_adapter(quantized):
    """The gate's figure is the worst of them; both graphs then agree on a prompt, as far as rounding lets them."""
    _, folder = quantized
    assert DecoderSpec.load(folder / "decoder.json").prefill_precision == "w8a8"
    fast = Decoder.load(folder, config=CONFIG)
    slow = Decoder.load(folder, config=CONFIG.model_copy(update={"prefill_graph": False}))
    for adapter in (0, 1, 2):
        got, expected = prefill(fast, 0, adapter), prefill(slow, 0, adapter)
        assert np.linalg.norm(got - expected) < 0.2 * np.linalg.norm(expected)


def test_a_graph_without_the_inputs_its_numbers_speak_of_is_refused(quantized, tmp_path):
    plain, chosen = quantized
    for path in plain.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "decoder.json").write_bytes((chosen / "decoder.json").read_bytes())
    with pytest.raises(CorruptModel, match="adapter_index, adapter_rows"):
        Decoder.load(tmp_path, config=CONFIG)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Mira", "mi/ra", "mira=x", "a" * 61, "-"])
def test_a_name_that_no_sheet_could_say_is_refused(tmp_path, name):
    with pytest.raises(InvalidAdapter, match="adapter's name") as caught:
        read_runtime_adapter(name, save_adapter(tmp_path / "a"))
    assert "NAME=" in caught.value.hint


@pytest.mark.parametrize("tensor", ["bias", "lora_B.bias"])
def test_trained_biases_can_only_be_merged(tmp_path, tensor):
    bias = {key("self_attn.q_proj", tensor): np.ones(HIDDEN, np.float32)}
    folder = save_adapter(tmp_path / "a", adapter_tensors() | bias, bias="all")
    assert read_adapter(folder)
    with pytest.raises(UnsupportedAdapter, match="biases") as caught:
        read_runtime_adapter("a", folder)
    assert "--adapter" in caught.value.hint


def test_one_adapter_of_another_base_keeps_the_whole_from_being_built(tmp_path):
    source = write_stub_gguf(tmp_path / "stub.gguf")
    deeper = {name.replace("layers.1", "layers.7"): values for name, values in adapter_tensors().items()}
    folders = {"good": save_adapter(tmp_path / "good"), "deeper": save_adapter(tmp_path / "deeper", deeper)}
    assert stack_adapters(open_weights(source), {"good": folders["good"]}).ranks == (4,)
    (tmp_path / "out").mkdir()
    with pytest.raises(AdapterMismatch, match=r"deeper: .* of layer 7: .* has 2 layers"):
        build_decoder(source, tmp_path / "out", adapters=folders)
    assert not list((tmp_path / "out").iterdir())


# --- as an import --------------------------------------------------------------------------------


def test_an_import_records_every_adapter(tmp_path):
    adapters = save_adapters(tmp_path)
    source = write_stub_gguf(tmp_path / "stub.gguf")
    model = import_model(str(source), "village", tmp_path / "cache", precision="fp32", adapters=adapters)
    recorded = model.manifest.source["adapters"]
    assert {name: record["rank"] for name, record in recorded.items()} == {"all": 4, "query-value": 4, "patterns": 8}
    assert model.manifest.source["title"] == f"{source} with all, query-value, patterns"
    assert verify("village-fp32", tmp_path / "cache") == model
    assert DecoderSpec.load(model.path / "decoder.json").adapters == tuple(adapters)


def test_an_encoder_takes_none(tmp_path):
    (tmp_path / "bert").mkdir()
    write_stub_bert(tmp_path / "bert")
    with pytest.raises(ConfigError, match="no adapters"):
        import_model(str(tmp_path / "bert"), "mine", tmp_path / "cache", adapters={"a": save_adapter(tmp_path / "a")})
