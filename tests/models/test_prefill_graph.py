import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from npc_engine.inference.spec import DecoderSpec
from npc_engine.models import prefill_gate
from npc_engine.models.build import build_decoder, open_weights
from npc_engine.models.graph import count_weights, write_decoder_graph
from npc_engine.models.prefill_graph import measure_peaks, write_prefill_graph
from tests.stubs import build_stub_decoder, write_stub_gguf
from tools.reference_decoder import FolderWeights, ReferenceDecoder, SourceWeights

ARCHITECTURES = ("llama", "qwen2", "qwen3")
IDS = [int(token) for token in np.random.default_rng(1).integers(3, 390, 40)]


def decode_graph(tmp_path, architecture="llama"):
    """A stub's decode graph in tmp_path, as `build_decoder` leaves it before the prefill graph is written."""
    source = open_weights(write_stub_gguf(tmp_path / "stub.gguf", architecture=architecture))
    return write_decoder_graph(source, tmp_path, precision="int4", total_weights=count_weights(source))


def arrays(folder):
    model = onnx.load(str(folder / "prefill.onnx"))
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_passes_the_gate(tmp_path, architecture):
    spec = build_stub_decoder(tmp_path, architecture=architecture)
    assert spec.prefill_precision == "w8a8"
    assert DecoderSpec.load(tmp_path / "decoder.json") == spec
    assert not (tmp_path / "calibration.onnx").exists()


def test_a_graph_that_fails_the_gate_is_not_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(prefill_gate, "MAX_KL_NATS", 0.0)
    spec = build_stub_decoder(tmp_path)
    assert spec.prefill_precision == "none"
    assert spec.prefill_kl_nats
    assert not list(tmp_path.glob("prefill.*"))
    assert DecoderSpec.load(tmp_path / "decoder.json") == spec


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_unquantized_models_have_none(tmp_path, precision):
    assert build_stub_decoder(tmp_path, precision=precision).prefill_precision == "none"
    assert not list(tmp_path.glob("prefill.*"))


def test_what_both_graphs_have_is_stored_once(tmp_path):
    build_stub_decoder(tmp_path)
    places = {}
    for name in ("decoder.onnx", "prefill.onnx"):
        for item in onnx.load(str(tmp_path / name), load_external_data=False).graph.initializer:
            if item.external_data:
                place = {entry.key: entry.value for entry in item.external_data}
                places.setdefault(item.name, set()).add((place["location"], place["offset"]))
    assert {location for location, _ in places["token_embd.codes"]} == {"decoder.onnx.data"}
    assert all(len(found) == 1 for found in places.values())


@pytest.mark.parametrize("largest", [100, 127])
def test_codes_use_their_range(tmp_path, largest):
    graph = decode_graph(tmp_path)
    write_prefill_graph(graph, tmp_path, max_code=largest, peaks=uniform_peaks(graph))
    codes = [array for name, array in arrays(tmp_path).items() if name.endswith(".int8")]
    assert codes
    assert all(np.abs(array.astype(int)).max() == largest for array in codes)


def uniform_peaks(graph):
    config = graph.config
    inner = {"ffn_down": config.intermediate_size, "attn_output": config.num_heads * config.head_dim}
    return {
        product: np.ones(inner.get(product.rpartition(".")[2], config.hidden_size), np.float32)
        for product in graph.product_inputs
    }


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_peaks_are_what_enters_the_products(tmp_path, architecture):
    """Against the numpy reference: the first norm's output is what enters the first layer's q, k and v."""
    build_decoder(write_stub_gguf(tmp_path / "stub.gguf", architecture=architecture), tmp_path)
    source = open_weights(tmp_path / "stub.gguf")
    graph = write_decoder_graph(source, tmp_path, precision="int4", total_weights=count_weights(source))
    peaks = measure_peaks(graph, tmp_path, IDS)
    weights = FolderWeights(tmp_path)
    x = weights.embedding(np.array(IDS))
    entering = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + weights.eps) * weights.norm("blk.0.attn_norm")
    np.testing.assert_allclose(peaks["blk.0.attn_qkv"], np.abs(entering).max(axis=0), rtol=1e-4)
    assert set(peaks) == set(graph.product_inputs)
    assert all((found >= 0).all() and found.max() > 0 for found in peaks.values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_smoothing_moves_numbers_and_changes_nothing(tmp_path, architecture):
    """The prefill graph's own weights, unquantized to float and run without rounding, give the source's logits."""
    graph = decode_graph(tmp_path, architecture)
    rng = np.random.default_rng(0)
    peaks = {name: rng.uniform(0.1, 30, found.shape).astype(np.float32) for name, found in uniform_peaks(graph).items()}
    write_prefill_graph(graph, tmp_path, max_code=127, peaks=peaks)
    spec = DecoderSpec(
        architecture=architecture, precision="int4", kv_dtype="float32", num_layers=2, num_heads=4, num_kv_heads=2,
        head_dim=16, hidden_size=64, vocab_size=400, max_context_tokens=512, top_k=64, eos_token_ids=(2,),
    )  # fmt: skip
    plain = SourceWeights(graph.source, spec)
    expected = ReferenceDecoder(plain).forward(IDS)
    got = ReferenceDecoder(Smoothed(graph.source, spec, arrays(tmp_path))).forward(IDS)
    assert np.linalg.norm(got - expected) < 0.05 * np.linalg.norm(expected)


class Smoothed(SourceWeights):
    """A source's weights, with norms and layers' products as a prefill graph holds them."""

    def __init__(self, source, spec, found):
        super().__init__(source, spec)
        self._found = found

    def matrix(self, name):
        layer, _, part = name.rpartition(".")
        query, key = self.spec.num_heads * self.spec.head_dim, self.spec.num_kv_heads * self.spec.head_dim
        packed = {"attn_q": (0, query), "attn_k": (query, query + key), "attn_v": (query + key, query + 2 * key)}
        whole = f"{layer}.attn_qkv" if part in packed else name
        weights = (self._found[f"{whole}.int8"] * self._found[f"{whole}.int8_scales"]).T.astype(np.float32)
        return weights[slice(*packed[part])] if part in packed else weights

    def norm(self, name):
        smoothed = self._found.get(f"{name}.smoothed")
        return super().norm(name) if smoothed is None else smoothed
