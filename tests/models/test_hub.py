"""The hub against a small server that speaks its HTTP: listing, resolve with ranges, refusals."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from npc_engine.errors import InvalidModelFile
from npc_engine.models.hub import HubFile, HubRepository, model_files
from npc_engine.models.install import find_installed
from tests.packages import open_shop
from tests.stubs import write_stub_gguf

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """One repository, `org/stub`.

    Attributes:
        files: Path -> content served.
        listed: Path -> content the listing's hashes are of; the served content where absent.
        gone: Bytes after which the first download breaks off.
        ranges: The Range header of every download.
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.listed, self.gone, self.ranges, self.gated = files, {}, None, [], False

    @property
    def environment(self):
        return {"HF_ENDPOINT": f"http://127.0.0.1:{self.server_port}", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        hub = self.server
        if self.path.startswith("/api/models/org/stub/revision/main") and hub.gated:
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif self.path.startswith("/api/models/org/stub/revision/main"):
            self._answer(200, json.dumps(self._listing()).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith((f"/org/stub/resolve/{COMMIT}/", "/org/stub/resolve/main/")):
            self._serve(hub.files[self.path.split("?")[0].split("/", 5)[5]])
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _listing(self):
        siblings = []
        for path, content in (self.server.files | self.server.listed).items():
            sibling = {"rfilename": path, "size": len(content)}
            if path.endswith((".gguf", ".safetensors")):
                sha256 = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 130}
            else:
                sibling["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            siblings.append(sibling)
        return {"id": "org/stub", "sha": COMMIT, "siblings": siblings, "cardData": {"license": "cc0-1.0"}}

    def _serve(self, content):
        hub, asked = self.server, self.headers["Range"]
        hub.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = content[start:]
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if hub.gone is not None and start == 0:
            self.wfile.write(body[: hub.gone])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def _answer(self, status, body, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path):
    server = Hub({"stub.gguf": write_stub_gguf(tmp_path / "stub.gguf").read_bytes(), "README.md": b"# Stub"})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def import_stub(hub, cache, source="org/stub"):
    """Run the command in a process of its own: huggingface_hub reads its endpoint once, when imported."""
    return run_models(hub.environment, "import", source, "--name", "mine", "--cache-dir", str(cache))


def run_models(environment, *arguments):
    call = "from npc_engine.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", call, "models", *arguments],
        env=os.environ | environment | {"PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_hub_model_is_verified_and_its_commit_recorded(hub, tmp_path):
    done = import_stub(hub, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    manifest = find_installed("mine", tmp_path / "cache").manifest
    assert (manifest.source["repo"], manifest.source["commit"], manifest.source["pinned"]) == (
        "org/stub",
        COMMIT,
        False,
    )
    assert manifest.source["files"]["stub.gguf"]["sha256"] == hashlib.sha256(hub.files["stub.gguf"]).hexdigest()
    assert manifest.licence.spdx == "cc0-1.0"
    assert hub.ranges == ["bytes=0-"]


def test_files_of_another_source_are_not_mixed_in(hub, tmp_path):
    files = tmp_path / "cache" / "downloads" / "mine" / "files"
    files.mkdir(parents=True)
    (files / "model.safetensors").write_bytes(b"of another repository")
    assert import_stub(hub, tmp_path / "cache").returncode == 0
    assert list(find_installed("mine", tmp_path / "cache").manifest.source["files"]) == ["stub.gguf"]
    assert not files.exists()


def test_a_broken_transfer_goes_on_where_it_stopped(hub, tmp_path):
    hub.gone = 70_000
    done = import_stub(hub, tmp_path / "cache", "org/stub/stub.gguf@main")
    assert done.returncode == 0, done.stderr
    first, second = hub.ranges
    assert first == "bytes=0-"
    # httpx hands over every byte that came, requests all but the last 16 KiB.
    assert 70_000 - (1 << 14) < int(second.removeprefix("bytes=").removesuffix("-")) <= 70_000


def test_content_that_is_not_the_published_one_is_deleted(hub, tmp_path):
    hub.listed = {"stub.gguf": b"\0" * len(hub.files["stub.gguf"])}
    done = import_stub(hub, tmp_path / "cache")
    assert done.returncode == 1
    assert "NPC404: org/stub/stub.gguf: sha256 is" in done.stderr
    assert not list((tmp_path / "cache").rglob("*.gguf*"))


def test_refusals_are_told_apart(hub, tmp_path):
    missing = import_stub(hub, tmp_path / "cache", "org/absent")
    assert missing.returncode == 1
    assert "NPC403: org/absent: not on the hub" in missing.stderr
    hub.gated = True
    gated = import_stub(hub, tmp_path / "cache")
    assert gated.returncode == 1
    assert "accept the licence" in gated.stderr
    assert "hf auth login" in gated.stderr


def test_the_hub_steps_in_where_the_registry_fails(hub, tmp_path):
    source = '[[models.stub.sources]]\ntype = "hub"\nrepo = "org/stub"\nfiles = { "stub.gguf" = "stub.gguf" }'
    shop = open_shop(tmp_path / "shop", extra_source=source)
    shop.wheels[1].unlink()
    environment = shop.environment | hub.environment
    options = ("--catalogue", str(shop.catalogue), "--cache-dir", str(tmp_path / "cache"))
    done = run_models(environment, "pull", "stub", *options)
    assert done.returncode == 0, done.stderr
    assert "registry: " in done.stderr
    assert find_installed("stub", tmp_path / "cache").manifest.source["repo"] == "org/stub"
    assert not list((tmp_path / "cache" / "downloads").rglob("*.*"))


def repository(*paths):
    return HubRepository("org/name", COMMIT, "mit", tuple(HubFile(path, 1, "sha256", "0" * 64) for path in paths))


def test_safetensors_come_with_what_the_builder_reads_beside_them():
    found = model_files(
        repository(
            "model-1.safetensors",
            "model.safetensors.index.json",
            "config.json",
            "tokenizer.json",
            "README.md",
            "onnx/model.safetensors",
            "a.gguf",
        )
    )
    assert [file.path for file in found] == [
        "model-1.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.json",
    ]


def test_a_tokenizer_without_tokenizer_json_comes_as_its_own_files():
    paths = ("model.safetensors", "config.json", "vocab.txt", "merges.txt", "README.md")
    assert [file.path for file in model_files(repository(*paths))] == list(paths[:4])


def test_one_of_several_ggufs_must_be_named():
    several = repository("q4.gguf", "sub/q8.gguf")
    with pytest.raises(InvalidModelFile, match=r"q4\.gguf, sub/q8\.gguf") as caught:
        model_files(several)
    assert caught.value.hint.endswith("org/name/q4.gguf")
    assert [file.name for file in model_files(several, "sub/q8.gguf")] == ["q8.gguf"]
    with pytest.raises(InvalidModelFile, match="no file"):
        model_files(several, "q5.gguf")
    with pytest.raises(InvalidModelFile, match="neither"):
        model_files(repository("pytorch_model.bin"))
