import json
import subprocess
import sys

import pytest

from npc_engine.cli.console import PlainProgress
from npc_engine.cli.main import main
from tests.packages import open_shop
from tests.stubs import write_stub_gguf


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    shop = open_shop(tmp_path / "shop")
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    return shop


@pytest.fixture
def run(capfd):
    """Runs a command line in this process; returns its exit code, stdout and stderr."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


def test_a_model_lives_from_list_to_remove(run, cache, shop):
    catalogue = ("--catalogue", shop.catalogue)
    assert "available" in run("models", "list", *catalogue)[1]
    code, out, err = run("models", "pull", "stub", *catalogue)
    assert (code, out.split(":")[0]) == (0, "stub")
    assert "licence CC0-1.0" in err
    assert "downloading: 100 %" in err
    code, out, _ = run("models", "list", "--json", *catalogue)
    (row,) = json.loads(out)
    assert {**row, "bytes": 0} == {
        "name": "stub",
        "kind": "decoder",
        "title": "Stub",
        "licence": "CC0-1.0",
        "bytes": 0,
        "exact": True,
        "pinned": True,
        "state": "installed",
    }
    assert run("models", "verify")[:2] == (0, run("models", "verify", "stub")[1])
    assert run("models", "remove", "stub")[0] == 0
    assert "available" in run("models", "list", *catalogue)[1]


def test_the_shipped_catalogue_lists_every_profile(run, cache):
    code, out, _ = run("models", "list")
    assert code == 0
    for name in ("tiny", "base", "encoder", "qwen3-0.6b", "llama-3.2-1b"):
        assert name in out
    assert "~1.52 GB*" in out  # not measured by us, not pinned by us


def test_an_error_is_a_code_a_message_and_a_hint(run, cache):
    code, out, err = run("models", "pull", "bsae")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "NPC401: no model is called 'bsae'",
        "hint: did you mean base? See: npc-engine models list",
    ]


def test_verify_tells_which_model_is_wrong_and_checks_the_others(run, cache, tmp_path):
    write_stub_gguf(tmp_path / "a.gguf")
    for name in ("one", "two"):
        assert run("models", "import", tmp_path / "a.gguf", "--name", name)[0] == 0
    (cache / "models" / "one" / "decoder.onnx").write_bytes(b"")
    code, out, err = run("models", "verify")
    assert code == 1
    assert "NPC407: one:" in err
    assert "two: whole" in out


def test_ctrl_c_says_how_to_go_on(run, cache, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("npc_engine.models.registry.subprocess.Popen", interrupted)
    code, _, err = run("models", "pull", "tiny")
    assert code == 130
    assert "run the same command to go on" in err


@pytest.mark.parametrize("command", [[], ["list"], ["pull"], ["import"], ["verify"], ["remove"]])
def test_every_command_has_help(run, command):
    code, out, _ = run("models", *command, "--help")
    assert code == 0
    assert "Usage" in out
    assert not command or "npc-engine models" in out.split("Example")[1]


@pytest.mark.parametrize("wrong", [["models", "pull"], ["models", "pul"], ["models", "import", "x"], ["--nonsense"]])
def test_a_wrong_command_line_ends_with_2(run, wrong):
    assert run(*wrong)[0] == 2


def test_version(run):
    assert run("--version")[1].startswith("npc-engine ")


def test_help_imports_nothing_slow():
    slow = ("onnx", "onnxruntime", "gguf", "numpy", "huggingface_hub", "pydantic_settings", "tokenizers")
    check = f"""
import sys
from npc_engine.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in {slow} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, encoding="utf-8", check=True)
    assert done.stderr.strip() == "[]"


def test_plain_progress_writes_a_line_a_tenth_with_rate_and_time_left():
    now, lines = 0.0, []
    progress = PlainProgress(clock=lambda: now, write=lines.append)
    progress.stage("downloading", 1_000_000_000, unit="bytes", done=100_000_000)
    for step in range(11, 101):
        now += 0.5
        progress.update(step * 10_000_000)
    assert lines[0] == "downloading: 1.00 GB, 100 MB already here"
    assert lines[1] == "downloading: 20 % (200 MB), 20 MB/s, 40 s left"
    assert lines[-1] == "downloading: 100 % (1.00 GB), 20 MB/s, 45 s"
    assert len(lines) == 10


def test_the_module_is_the_command():
    shown = subprocess.run(
        [sys.executable, "-m", "npc_engine", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("npc-engine ")
