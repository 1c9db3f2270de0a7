"""Wrong settings, flags, keys, addresses and devices, as an operator meets them: `npc-engine serve ...`."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from npc_engine.inference.onnx_session import cuda_problem
from npc_engine.inference.snapshot_codec import FloatCodec, KvLayout
from npc_engine.inference.snapshot_files import SnapshotFiles
from npc_engine.server.auth import generate_keys
from tests.bad_input.boundary import refused, run, tree
from tests.scripted import BareClient, RunningServer, free_port_config

ANY_PORT = "tcp://127.0.0.1:0"


def config_file(text):
    """Arrange `serve --config FILE` with a file of this text."""

    def arrange(root):
        content = text if isinstance(text, bytes) else text.encode("utf-8")
        (root / "npc.toml").write_bytes(content)
        return ("--config", root / "npc.toml")

    return arrange


def flags(*arguments):
    return lambda root: arguments


def public_key_as_secret(root):
    generate_keys(root / "keys")
    return ("--keys", root / "keys" / "server.key")


def keys_without_clients(root):
    generate_keys(root / "keys")
    (root / "keys" / "clients" / "game.key").unlink()
    return ("--keys", root / "keys" / "server.key_secret")


def keys_again(root):
    generate_keys(root / "keys")
    return ("--generate-keys", root / "keys")


def keys_below_a_file(root):
    (root / "file").write_bytes(b"")
    return ("--generate-keys", root / "file")


@dataclass(frozen=True)
class Row:
    """Arguments of `serve` that are refused before anything is loaded."""

    what: str
    arrange: Callable[[Path], tuple]
    says: str
    code: str = "NPC001"


ROWS = (
    Row("no such config file", flags("--config", "none.toml"), "configuration file not found: none.toml"),
    Row("a folder as config file", flags("--config", "."), "configuration file not found"),
    Row("a path that no system takes", flags("--config", "x" * 5000), "configuration file xxx"),
    Row("a config file that is not TOML", config_file("threads: 2"), "not a TOML file"),
    Row("a config file that is not text", config_file(bytes(range(256))), "not a TOML file"),
    Row("an unknown setting", config_file("thread = 2"), "unknown setting 'thread', did you mean 'threads'?"),
    Row("a value out of range", config_file("max_context_tokens = 10"), "greater than or equal to 256 (got 10)"),
    Row("a value of another type", config_file('threads = "many"'), "threads: Input should be a valid integer"),
    Row("two wrong settings at once", config_file("threads = 0\nseed = -1"), "seed: "),
    Row("a flag out of range", flags("--threads", "0"), "threads: "),
    Row("a device that there is not", flags("--device", "abacus"), "'auto', 'cpu' or 'cuda' (got 'abacus')"),
    Row("an address that is none", flags("--address", "localhost"), "'localhost' is not tcp://HOST:PORT"),
    Row("a port that is none", flags("--address", "tcp://127.0.0.1:99999"), "is not tcp://HOST:PORT"),
    Row("an open address without keys", flags("--address", "tcp://0.0.0.0:5570"), "other machines", "NPC003"),
    Row("a name without keys", flags("--address", "tcp://example.org:5570"), "other machines", "NPC003"),
    Row("no such key file", flags("--keys", "none.key_secret"), "none.key_secret"),
    Row("a public key as secret key", public_key_as_secret, "holds no secret key"),
    Row("keys without any client's", keys_without_clients, "no client keys"),
    Row("keys made twice", keys_again, "already exists"),
    Row("keys below a file", keys_below_a_file, "cannot write keys to"),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_wrong_setting_is_told_before_anything_is_loaded(row, tmp_path):
    arguments = row.arrange(tmp_path)
    before = tree(tmp_path)
    printed = run("serve", *arguments)
    seen = printed.error
    assert (printed.exit_code, printed.out, seen.code) == (1, "", row.code)
    assert "loading" not in printed.err
    assert row.says in seen.message
    assert seen.hint
    assert tree(tmp_path) == before


def test_a_wrong_environment_is_told_as_a_wrong_flag_is(monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_THREADS", "many")
    assert refused("serve").message.startswith("threads: ")
    printed = run("doctor", "--json")
    (finding,) = [one for one in json.loads(printed.out) if one["level"] == "problem"]
    assert (printed.exit_code, finding["finding"].split(":")[0]) == (1, "NPC001")


@pytest.fixture
def serve(stocked_cache, tmp_path, monkeypatch):
    """Arguments of a `serve` that would load its tiny models and start."""
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(stocked_cache))
    settings = 'model = "stub-fp32"\nencoder = "words"\nmax_context_tokens = 16384\nthreads = 1\n'
    (tmp_path / "npc.toml").write_text(settings, encoding="utf-8")
    return ("serve", "--config", tmp_path / "npc.toml")


def swap(serve, old, new):
    """Change the config file of `serve`."""
    path = serve[2]
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.skipif(not cuda_problem(), reason="this machine has CUDA")
def test_cuda_demanded_but_absent(serve):
    seen = refused(*serve, "--device", "cuda", "--address", ANY_PORT)
    assert (seen.code, "no CUDA" in seen.message, "device = auto" in seen.hint) == ("NPC002", True, True)


def test_an_address_in_use(serve):
    with RunningServer(free_port_config()) as other, BareClient(other.address) as client:
        seen = refused(*serve, "--device", "cpu", "--address", other.address)
        assert (seen.code, seen.message.startswith(f"{other.address} is in use")) == ("NPC004", True)
        assert "--address" in seen.hint
        client.hello()


@pytest.mark.parametrize(("setting", "wrong"), [("model", "words"), ("encoder", "stub-fp32")])
def test_a_model_of_the_other_kind(serve, setting, wrong):
    swap(serve, f"{setting} = ", f'{setting} = "{wrong}" # ')
    seen = refused(*serve, "--device", "cpu", "--address", ANY_PORT)
    assert (seen.code, f"{setting} = '{wrong}' names a model of kind" in seen.message) == ("NPC001", True)
    assert "models list" in seen.hint


def test_a_context_too_short_for_the_character(serve):
    swap(serve, "16384", "256")
    seen = refused(*serve, "--device", "cpu", "--address", ANY_PORT)
    assert (seen.code, "raise max_context_tokens" in seen.hint) == ("NPC001", True)


def test_a_kv_budget_that_holds_no_sequence(serve, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_KV_BUDGET_BYTES", "1000")
    seen = refused(*serve, "--device", "cpu", "--address", ANY_PORT)
    assert (seen.code, "1000 does not hold one sequence of" in seen.message) == ("NPC140", True)
    assert "set kv_budget_bytes to " in seen.hint


def test_prefix_files_that_cannot_be_written_or_trusted(tmp_path, caplog):
    values = FloatCodec().encode(np.zeros((2, 1, 1, 1), np.float32))
    layout = KvLayout(parts=2, heads=1, head_dim=1, dtype=np.dtype(np.float32))
    options = {"max_bytes": 1 << 20, "fingerprint": "", "codec": FloatCodec()}
    good = SnapshotFiles(tmp_path / "prefixes", **options)
    good.save([1], layout, [values])
    good.close()
    (path,) = good.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert good.load([1], layout) is None
    assert "NPC142" in caplog.text
    (tmp_path / "file").write_bytes(b"")
    bad = SnapshotFiles(tmp_path / "file", **options)
    bad.save([1], layout, [values])
    bad.close()
    assert "NPC141" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="for Windows such a folder is merely absent")
@pytest.mark.parametrize("command", [("models", "list"), ("models", "verify"), ("models", "pull", "tiny"), ("doctor",)])
def test_a_cache_that_the_system_does_not_take(command, tmp_path, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / ("x" * 5000)))
    printed = run(*command)
    assert (printed.exit_code, "NPC400" in printed.out + printed.err) == (1, True)
    assert not list(tmp_path.iterdir())
