import json

import pytest

from npc_engine.sheets.library import shipped_sheets_dir

HESTA = shipped_sheets_dir() / "questions" / "hesta.yaml"


def test_a_bench_prints_the_table_and_writes_everything(command, stubs, tmp_path):
    target = tmp_path / "bench.json"
    code, out, err = command("models", "bench", "stub", "--questions", HESTA, "--json", target)
    assert code == 0
    (result,) = json.loads(target.read_text(encoding="utf-8"))
    assert set(result) == {"model", "machine", "engine", "temperature", "seed", "summary", "questions"}
    assert (result["model"], result["seed"], len(result["questions"])) == ("stub", 1, 20)
    assert result["engine"]["provider"] == "CPUExecutionProvider"
    summary = result["summary"]
    assert summary["questions"] == 20
    assert summary["right"] == sum(one["is_right"] for one in result["questions"]) >= 1  # "forty"
    assert summary["grounded_share"] > 0.5
    assert summary["peak_memory_bytes"] > 10_000_000
    for label in ("replies with the fact's answer", "time to first token, p50 / p95", "peak memory", "stub: missed"):
        assert label in out
    assert f"{summary['right']} of 20" in out
    missed = [one for one in result["questions"] if not one["is_right"]]
    assert all(one["question"].split()[0] in out for one in missed)
    assert str(target) in out.replace("\n", "")
    assert "questions" in err


def test_questions_of_ones_own(command, stubs, mara_file, tmp_path):
    questions = tmp_path / "questions.yaml"
    questions.write_text(
        "schema: npc-engine/questions@1\ncharacter: mara\n"
        'questions: [{question: "Sword [/b] cost?", fact: price-sword, answer: [["[/]"]]}]\n',
        encoding="utf-8",
    )
    code, out, _ = command("models", "bench", "stub", "--questions", questions, "--sheets", mara_file)
    assert code == 0
    assert "0 of 1" in out
    assert "Sword [/b] cost?" in out


@pytest.mark.parametrize("target", [".", "none/bench.json"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(command, stubs, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("models", "bench", "stub", "--json", target)
    assert (code, out) == (1, "")
    assert err.startswith("NPC001:")


def test_questions_that_are_not_there(command, stubs, tmp_path):
    code, _, err = command("models", "bench", "stub", "--questions", tmp_path / "none.yaml")
    assert code == 1
    assert err.startswith("NPC101:")
