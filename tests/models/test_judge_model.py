import json

import pytest

import npc_engine
from npc_engine.config import EngineConfig
from npc_engine.errors import ConfigError, CorruptModel, ModelNotInstalled, UnknownModel
from npc_engine.models import install, installed
from npc_engine.models.cache import sha256_of
from npc_engine.models.catalogue import Licence, load_catalogue
from npc_engine.models.install import find_installed, import_model, list_models, remove, verify
from npc_engine.models.installed import InstalledModel, Manifest, ManifestFile
from npc_engine.models.judge_model import load_judge_model
from npc_engine.models.progress import SilentProgress
from tests.stub_classifier import LABELS, write_stub_classifier
from tests.stubs import write_stub_bert
from tools.package_nli import package


def install_stub(folder, name, *, labels=LABELS):
    """A classifier's folder as an import leaves it."""
    write_stub_classifier(folder, labels=labels)
    files = {
        path.name: ManifestFile(bytes=path.stat().st_size, sha256=sha256_of(path)) for path in sorted(folder.iterdir())
    }
    manifest = Manifest(
        format=1,
        name=name,
        kind="classifier",
        architecture="stub",
        precision="int8",
        licence=Licence(spdx="CC0-1.0"),
        source={},
        builder_version=npc_engine.__version__,
        files=files,
    )
    manifest.save(folder)
    return InstalledModel(name, folder, manifest)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package folder with a built-in `nli`, made as a release makes it."""
    monkeypatch.setattr(installed, "BUILTIN_MODELS", tmp_path / "data")
    (tmp_path / "data" / "nli").mkdir(parents=True)
    (tmp_path / "data" / "nli" / "README.md").write_text("# Card\n", encoding="utf-8")
    package(install_stub(tmp_path / "trained", "trained"), tmp_path / "data" / "nli", temperature=1.5)
    return tmp_path / "data" / "nli"


def config(cache, **settings):
    return EngineConfig(cache_dir=cache, device="cpu", threads=1, **settings)


def state_of(name, cache):
    (row,) = (row for row in list_models(cache, load_catalogue()) if row.name == name)
    return row.state


def test_the_built_in_model_loads_lists_and_verifies(shipped, cache):
    classifier = load_judge_model(config(cache))
    assert (classifier.spec.labels, classifier.spec.temperature) == (LABELS, 1.5)
    assert state_of("nli", cache) == "installed"
    model = verify("nli", cache)
    assert (model.path, set(model.manifest.files)) == (
        shipped,
        {"README.md", "classifier.onnx", "classifier.json", "tokenizer.json"},
    )
    assert not cache.exists()


def test_one_in_the_cache_comes_first(shipped, cache):
    other = tuple(reversed(LABELS))
    install_stub(cache / "models" / "nli", "nli", labels=other)
    assert load_judge_model(config(cache)).spec.labels == other
    remove("nli", cache)
    assert load_judge_model(config(cache)).spec.labels == LABELS


def test_an_installed_classifier_may_judge(cache):
    install_stub(cache / "models" / "mine", "mine")
    assert load_judge_model(config(cache, nli="mine")).classify([("gold", "steel")]).shape == (1, 3)


def test_a_package_without_its_model_says_what_to_do(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(installed, "BUILTIN_MODELS", tmp_path / "none")
    with pytest.raises(ModelNotInstalled, match="should come with npc-engine") as caught:
        load_judge_model(config(cache))
    assert "install the package again" in caught.value.hint
    assert state_of("nli", cache) == "missing"
    with pytest.raises(ModelNotInstalled):
        install.pull("nli", cache)
    with pytest.raises(UnknownModel):
        load_judge_model(config(cache, nli="nil"))


def test_what_judges_must_be_a_classifier(cache, tmp_path):
    (tmp_path / "bert").mkdir()
    import_model(str(write_stub_bert(tmp_path / "bert")), "words", cache)
    with pytest.raises(ConfigError, match="kind encoder"):
        load_judge_model(config(cache, nli="words"))


def test_the_built_in_model_cannot_be_removed_and_need_not_be_pulled(shipped, cache):
    with pytest.raises(ConfigError, match="part of npc-engine"):
        remove("nli", cache)
    with pytest.raises(ConfigError, match="one build"):
        install.pull("nli", cache, precision="fp16")
    notes = []
    sink = SilentProgress()
    sink.note = notes.append
    assert install.pull("nli", cache, progress=sink).path == shipped
    assert notes == ["nli comes with npc-engine: there is nothing to pull"]


def test_a_damaged_package_is_found(shipped, cache):
    path = shipped / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"temperature": 9.5}), encoding="utf-8")
    with pytest.raises(CorruptModel, match=r"classifier\.json"):
        verify("nli", cache)


def test_only_a_classifier_with_a_card_can_be_packaged(tmp_path, cache):
    (tmp_path / "bert").mkdir()
    encoder = import_model(str(write_stub_bert(tmp_path / "bert")), "words", cache)
    with pytest.raises(ConfigError, match="not a classifier"):
        package(encoder, tmp_path)
    with pytest.raises(ConfigError, match="model card"):
        package(install_stub(tmp_path / "trained", "trained"), tmp_path / "data")
    with pytest.raises(UnknownModel):
        find_installed("trained", cache)
