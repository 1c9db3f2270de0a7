import json
import shutil
import subprocess
import sys

import gguf
import pytest

from npc_engine.cli.console import PlainProgress
from npc_engine.cli.main import main
from npc_engine.models import import_source
from npc_engine.models.catalogue import load_catalogue
from tests.models.test_lora import adapter_tensors, save_adapter
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


def test_an_adapter_is_merged_into_a_model_of_its_own_name(run, cache, tmp_path):
    adapter = save_adapter(tmp_path / "mira-lora", adapter_tensors(["self_attn.q_proj", "self_attn.v_proj"]))
    base = write_stub_gguf(tmp_path / "a.gguf", tensor_type=gguf.GGMLQuantizationType.Q4_0)
    code, out, err = run("models", "import", base, "--adapter", adapter, "--name", "mira")
    assert (code, out.split(":")[0]) == (0, "mira")
    assert "adapter of rank 4 on q_proj, v_proj; trained on studio/stub" in err
    row = json.loads(run("models", "list", "--json")[1])[-1]
    assert (row["name"], row["state"], row["title"]) == ("mira", "installed", f"{base} with mira-lora")
    assert run("models", "verify", "mira")[0] == 0
    manifest = json.loads((cache / "models" / "mira" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"]["adapter"]["modules"] == ["q_proj", "v_proj"]
    assert run("models", "remove", "mira")[0] == 0
    assert sorted(path.name for path in adapter.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_adapters_are_installed_beside_one_another_under_their_folders_or_given_names(run, cache, tmp_path):
    folders = [save_adapter(tmp_path / name, adapter_tensors(["self_attn.q_proj"])) for name in ("odo", "mira=lora")]
    base = write_stub_gguf(tmp_path / "a.gguf", tensor_type=gguf.GGMLQuantizationType.Q4_0)
    given = ["--adapters", folders[0], "--adapters", f"mira={folders[1]}"]
    code, out, err = run("models", "import", base, "--name", "village", "--precision", "fp32", *given)
    assert (code, out.split(":")[0]) == (0, "village-fp32"), err
    assert "adapter mira: rank 4 on q_proj; trained on studio/stub" in err
    folder = cache / "models" / "village-fp32"
    assert json.loads((folder / "decoder.json").read_text(encoding="utf-8"))["adapters"] == ["odo", "mira"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"]["adapters"]["mira"]["path"] == str(folders[1])
    assert run("models", "verify", "village-fp32")[0] == 0


@pytest.fixture
def stub_in_catalogue(shop, monkeypatch):
    """The shop's catalogue in the place of the shipped one, for what has no --catalogue."""
    catalogue = load_catalogue(shop.catalogue)
    monkeypatch.setattr(import_source, "load_catalogue", lambda: catalogue)


@pytest.mark.parametrize("kept", [True, False])
def test_a_catalogue_model_is_a_base_and_what_was_kept_of_it_stays(run, cache, shop, stub_in_catalogue, tmp_path, kept):
    options = ["--keep-downloads"] if kept else []
    assert run("models", "pull", "stub", "--catalogue", shop.catalogue, *options)[0] == 0
    downloads = cache / "downloads" / "stub" / "files" / "stub.gguf"
    assert downloads.exists() is kept
    if kept:
        shutil.rmtree(shop.wheels[0].parent)  # it is not fetched again
    adapter = save_adapter(tmp_path / "lora")
    code, _, err = run("models", "import", "stub", "--adapter", adapter, "--name", "mira", "--precision", "fp32")
    assert code == 0, err
    assert downloads.exists() is kept
    manifest = json.loads((cache / "models" / "mira-fp32" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["licence"]["spdx"] == "CC0-1.0"
    assert manifest["source"]["files"].keys() == {"stub.gguf"}
    assert manifest["source"]["title"] == "stub with lora"


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
