import json
import shutil

import pytest

from npc_engine.inference.onnx_session import runtime_info


@pytest.fixture
def findings(command):
    """Run the doctor; returns its exit code and the findings by subject."""

    def examine(*arguments):
        code, printed, _ = command("doctor", "--json", *arguments)
        rows = json.loads(printed)
        assert all(set(row) == {"level", "subject", "finding", "hint"} for row in rows)
        assert all(row["hint"] for row in rows if row["level"] == "problem")
        return code, {row["subject"]: row for row in rows}

    return examine


@pytest.fixture
def corrupt(stubs, tmp_path, monkeypatch):
    """A cache whose model `stub` is cut short."""
    cache = tmp_path / "cache"
    shutil.copytree(stubs, cache)
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(cache))
    (cache / "models" / "stub" / "decoder.onnx").write_bytes(b"cut short")
    return cache


def test_an_empty_cache_is_no_problem(findings, tmp_path, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / "none"))
    code, found = findings()
    assert code == 0
    assert {"npc-engine", "machine", "threads", "onnxruntime", "cuda", "cache", "sheets"} <= set(found)
    for name in ("base", "encoder"):
        assert found[f"model {name}"]["level"] == "note"
        assert found[f"model {name}"]["hint"] == f"npc-engine models pull {name}"
    assert "hesta" in found["sheets"]["finding"]
    assert found["model nli"]["finding"].startswith("int8, runs on ")
    assert not (tmp_path / "none").exists()


def test_it_says_where_prefix_files_are(findings, tmp_path, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path))
    assert findings()[1]["prefix files"]["level"] == "note"  # the tests turn them off
    monkeypatch.setenv("NPC_ENGINE_PREFIX_STORE_DISK_BYTES", "2000000000")
    found = findings()[1]["prefix files"]
    assert (found["level"], found["finding"]) == ("ok", f"{tmp_path / 'prefixes'}, 0.0 of 2.0 GB")
    assert not (tmp_path / "prefixes").exists()


def test_every_installed_model_is_opened(findings, stubs):
    code, found = findings()
    assert code == 0
    assert found["model stub"]["level"] == found["model words"]["level"] == "ok"
    assert "int4, runs on CPUExecutionProvider" in found["model stub"]["finding"]


def test_a_corrupt_model_is_a_problem(findings, corrupt):
    code, found = findings()
    assert code == 1
    assert found["model stub"]["level"] == "problem"
    assert str(corrupt / "models" / "stub") in found["model stub"]["hint"]
    assert found["model words"]["level"] == "ok"
    code, found = findings("--model", "stub")
    assert code == 1
    assert found["model stub"]["finding"].startswith("NPC407")


def test_a_graph_that_does_not_load_is_a_problem(findings, corrupt):
    model = corrupt / "models" / "stub"
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["decoder.onnx"]["bytes"] = len(b"cut short")
    (model / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    code, found = findings("--model", "stub")
    assert code == 1
    assert found["model stub"]["finding"].startswith("NPC407")


def test_a_corrupt_profile_is_not_also_called_missing(findings, stubs, tmp_path, monkeypatch):
    (tmp_path / "cache" / "models" / "base").mkdir(parents=True)
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / "cache"))
    code, found = findings()
    assert code == 1
    assert (found["model base"]["level"], found["model encoder"]["level"]) == ("problem", "note")


def test_cuda_that_cannot_be_had_is_a_problem(findings, stubs):
    if runtime_info()["cuda"] == "available":
        pytest.skip("this machine has CUDA")
    code, found = findings("--device", "cuda")
    assert code == 1
    assert found["cuda"]["level"] == "note"
    for name in ("stub", "words"):
        assert found[f"model {name}"]["finding"].startswith("NPC002")


@pytest.mark.parametrize("arguments", [("--model", "no-such-model"), ("--device", "abacus")])
def test_what_is_asked_for_and_wrong_is_a_problem(findings, stubs, arguments):
    assert findings(*arguments)[0] == 1


def test_the_table_tells_the_same(command, corrupt):
    code, printed, _ = command("doctor")
    assert code == 1
    flat = " ".join(printed.split())
    assert "problem" in flat
    assert "runs on CPUExecutionProvider" in flat
