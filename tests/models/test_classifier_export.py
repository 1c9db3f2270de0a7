import importlib.util
import json
import shutil
import sys
import warnings

import numpy as np
import pytest

from npc_engine.config import EngineConfig
from npc_engine.errors import ConfigError, ExportExtraMissing, ExportFailed, InvalidModelFile, UnsupportedLabels
from npc_engine.guard.nli import NliJudge
from npc_engine.inference.classifier import PairClassifier
from npc_engine.models.catalogue import load_catalogue
from npc_engine.models.classifier_export import read_labels, require_export_extra
from npc_engine.models.install import import_model, list_models, remove, verify
from npc_engine.models.progress import SilentProgress
from tests.stubs import write_stub_bert

EXPORTS = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "optimum"))
needs_export_extra = pytest.mark.skipif(not EXPORTS, reason="needs the export extra (torch, optimum-onnx)")
PAIRS = [("I sell swords.", "The swords are for sale."), ("The road is closed.", "gold"), ("steel", "the war")]
ORDER = ("neutral", "contradiction", "entailment")


class Notes(SilentProgress):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def write_config(folder, **changes):
    folder.mkdir(exist_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"model_type": "bert"}
    path.write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


def import_quietly(folder, cache, notes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's tracer and the converters, not ours
        return import_model(str(folder), "mine", cache, progress=notes)


def labelled(*labels):
    return {str(index): label for index, label in enumerate(labels)}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A tiny random BERT classifier as transformers saves one, and transformers' own answer for PAIRS."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("published")
    write_stub_bert(folder)
    vocabulary = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        id2label=dict(enumerate(ORDER)),
        label2id={label: index for index, label in enumerate(ORDER)},
    )
    torch.manual_seed(3)
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        model.classifier.weight.normal_(0, 0.4)
        for layer in model.bert.encoder.layer:
            layer.output.dense.weight.normal_(0, 0.15)
    model.save_pretrained(folder)
    vocabulary.save_pretrained(folder)
    expected = []
    for pair in PAIRS:
        inputs = vocabulary(*pair, return_tensors="pt")
        with torch.inference_mode():
            expected.append(torch.softmax(model(**inputs).logits, dim=-1).numpy()[0])
    return folder, np.array(expected)


@needs_export_extra
def test_an_import_keeps_label_order_answers_and_a_whole_model(published, tmp_path):
    folder, expected = published
    notes = Notes()
    model = import_quietly(folder, tmp_path, notes)
    assert (model.kind, model.manifest.architecture, model.manifest.precision) == ("classifier", "bert", "int8")
    assert {path.name for path in model.path.iterdir()} == {
        "classifier.onnx",
        "classifier.json",
        "tokenizer.json",
        "manifest.json",
    }
    classifier = PairClassifier.load(model.path, config=EngineConfig(device="cpu", threads=1))
    assert (classifier.spec.labels, classifier.spec.max_tokens, classifier.spec.temperature) == (ORDER, 64, 1.0)
    np.testing.assert_allclose(classifier.classify(PAIRS), expected, atol=0.05)
    contradiction = NliJudge(classifier, name="mine").scores_now(PAIRS)[:, 2]
    np.testing.assert_array_equal(contradiction, classifier.classify(PAIRS)[:, 1])
    assert any("int8 against float32 on 12 pairs" in note for note in notes.notes)
    assert verify("mine", tmp_path) == model
    rows = {row.name: (row.kind, row.state) for row in list_models(tmp_path, load_catalogue())}
    assert rows["mine"] == ("classifier", "installed")
    remove("mine", tmp_path)
    assert "mine" not in {row.name for row in list_models(tmp_path, load_catalogue())}


@needs_export_extra
def test_what_the_exporter_refuses_installs_nothing(published, tmp_path):
    folder, _ = published
    shutil.copytree(folder, tmp_path / "source")
    write_config(tmp_path / "source", model_type="no-such-model")
    with pytest.raises(ExportFailed) as caught:
        import_quietly(tmp_path / "source", tmp_path / "cache", Notes())
    assert caught.value.hint
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_labels_come_from_the_config_or_from_the_user(tmp_path):
    write_config(tmp_path, id2label=labelled("CONTRADICTION", "Neutral", "ENTAILMENT"))
    assert read_labels(tmp_path, None) == ("contradiction", "neutral", "entailment")
    write_config(tmp_path, id2label=labelled("LABEL_0", "LABEL_1", "LABEL_2"))
    assert read_labels(tmp_path, ["entailment", "neutral", "contradiction"]) == (
        "entailment",
        "neutral",
        "contradiction",
    )
    with pytest.raises(UnsupportedLabels, match="LABEL_0, LABEL_1, LABEL_2"):
        read_labels(tmp_path, None)


@pytest.mark.parametrize("labels", [("entailment", "not_entailment"), ("entailment", "neutral")])
def test_a_two_way_model_is_refused_before_anything_is_converted(tmp_path, labels):
    folder = write_config(tmp_path / "source", id2label=labelled(*labels))
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UnsupportedLabels) as caught:
        import_model(str(folder), "mine", tmp_path / "cache", kind="classifier")
    assert "--labels" in caught.value.hint
    assert not (tmp_path / "cache" / "models").exists()


@pytest.mark.parametrize("changes", [{}, {"id2label": []}, {"id2label": {"first": "entailment"}}])
def test_a_config_without_labels_says_so(tmp_path, changes):
    with pytest.raises(InvalidModelFile, match="id2label"):
        read_labels(write_config(tmp_path / "source", **changes), None)


def test_a_missing_extra_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ExportExtraMissing, match="torch") as caught:
        require_export_extra()
    assert caught.value.hint == "pip install 'npc-dialogue-engine[export]'"


def test_options_of_another_kind_are_refused(tmp_path):
    folder = write_config(tmp_path / "source")
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigError, match="no labels"):
        import_model(str(folder), "mine", tmp_path / "cache", labels=["entailment", "neutral", "contradiction"])
    with pytest.raises(ConfigError, match="one build"):
        import_model(str(folder), "mine", tmp_path / "cache", kind="classifier", precision="fp16")
    (tmp_path / "a.gguf").write_bytes(b"x")
    with pytest.raises(InvalidModelFile, match="GGUF"):
        import_model(str(tmp_path / "a.gguf"), "mine", tmp_path / "cache", kind="classifier")


def test_a_text_classifier_is_told_from_a_sentence_encoder_by_its_config(tmp_path):
    labels = labelled("entailment", "not_entailment")
    folder = write_config(tmp_path / "source", architectures=["BertForSequenceClassification"], id2label=labels)
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UnsupportedLabels):
        import_model(str(folder), "mine", tmp_path / "cache")
