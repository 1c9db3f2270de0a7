"""Talks are had once, and a stopped run goes on where it was."""

import json

import pytest

from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.schema import CharacterSheet
from tests.talk import mara, talking
from tools import eval_consistency
from tools.consistency.material import Ask, Talk
from tools.consistency.report import judge_shares
from tools.consistency.running import Run, have_talks, kept_records
from tools.evaluation.loading import write_sheets

RUN = Run(guard="off", model="stub", seed=1, temperature=0.0)


def talk(name, *lines):
    asks = tuple(Ask(line=line, kind="filler") for line in lines)
    return Talk(id=name, part="facts", character="mara", asks=asks)


TALKS = (
    talk("one", "Hello?", "What does a sword cost?"),
    talk("two", "Good day."),
    talk("three", "Have you seen a dragon?"),
)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> CharacterSheet:
    return mara(tmp_path_factory.mktemp("sheet"))


async def have(sheet, reciter, word_encoder, talks, path):
    heard: list[int] = []
    async with talking(sheet, model=reciter("Good iron. "), encoder=word_encoder, num_slots=2) as dialogue:
        had = await have_talks(dialogue, talks, run=RUN, path=path, at_once=2, on_turns=heard.append)
        assert dialogue.health()["conversations"] == 0
    return had, heard


def test_sheets_load_again_as_they_were(tmp_path):
    sheets = load_sheets([shipped_sheets_dir()])
    write_sheets(sheets, tmp_path)
    assert load_sheets([tmp_path]) == {
        name: sheet.model_copy(update={"knowledge": ()}) for name, sheet in sheets.items()
    }


async def test_talks_are_had_side_by_side_and_kept(sheet, reciter, word_encoder, tmp_path):
    path = tmp_path / "records.jsonl"
    had, heard = await have(sheet, reciter, word_encoder, TALKS, path)
    assert [record["talk"] for record in had] == ["one", "two", "three"]
    assert sorted(heard) == [1, 1, 2]
    assert [turn["line"] for turn in had[0]["turns"]] == ["Hello?", "What does a sword cost?"]
    spoken = had[0]["turns"][1]
    assert spoken["reply"].startswith("Good iron.")
    assert spoken["source"] == "model"
    assert 0 < spoken["time_to_first_sentence_s"] <= spoken["total_s"]
    assert "price-sword" in [premise["id"] for premise in spoken["trace"]["premises"]]
    assert had[2]["turns"][0]["source"] == "fallback"
    assert kept_records(path, RUN, TALKS) == {record["talk"]: record for record in had}


async def test_what_belongs_to_another_run_or_is_torn_is_not_kept(sheet, reciter, word_encoder, tmp_path):
    path = tmp_path / "records.jsonl"
    await have(sheet, reciter, word_encoder, TALKS[:2], path)
    assert kept_records(path, Run(guard="judge", model="stub", seed=1, temperature=0.0), TALKS) == {}
    assert kept_records(path, RUN, [talk("one", "Something else.")]) == {}
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-20], encoding="utf-8")
    assert len(kept_records(path, RUN, TALKS)) == 1
    assert kept_records(tmp_path / "none.jsonl", RUN, TALKS) == {}


def test_the_judges_share_is_of_turns_that_time_it():
    turns = [
        {"trace": {"latency": {"judge_s": 0.5, "total_s": 2.0}}},
        {"trace": {"latency": {"total_s": 2.0}}},
        {"trace": {}},
    ]
    assert list(judge_shares(turns)) == [0.25]


# --- the command ---------------------------------------------------------------------------------


def test_kept_talks_are_scored_without_a_model(tmp_path, capsys):
    """Everything was had before, so that no model is loaded."""
    records, figures = tmp_path / "records.jsonl", tmp_path / "figures.json"
    arguments = [
        "--model",
        "none",
        "--parts",
        "told",
        "--every",
        "999",
        "--records",
        str(records),
        "--json",
        str(figures),
    ]
    options = eval_consistency.parse(arguments)
    sheets, material = eval_consistency._material(options)
    (asked,) = eval_consistency.talks(material, options.parts, attempts=20, every=999)
    key = Run(guard="off", model="none", seed=1, temperature=0.4).key(asked)
    turn = {"line": asked.asks[0].line, "reply": "I don't know.", "sentences": ["I don't know."], "source": "model"}
    turn |= {"trace": {}, "total_s": 1.0, "time_to_first_sentence_s": 0.5}
    row = key | {"part": asked.part, "character": asked.character, "turns": [turn]}
    records.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert sheets
    assert eval_consistency.main([*arguments, "--show", "1"]) == 0
    report = json.loads(figures.read_text(encoding="utf-8"))
    told = {name: column["measures"]["secret told when met"]["value"] for name, column in report["columns"].items()}
    assert told == {"authored": 1, "off": 0}
    assert "secret told when met" in capsys.readouterr().out


def test_a_model_that_is_not_there_ends_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path))
    arguments = ["--model", "none-such", "--parts", "told", "--records", str(tmp_path / "records.jsonl")]
    assert eval_consistency.main(arguments) == 1
    assert "none-such" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--guard", "authored"], ["--every", "0"], ["--at-once", "0"], ["--parts", "all"]])
def test_options_that_mean_nothing(wrong, capsys):
    with pytest.raises(SystemExit):
        eval_consistency.parse(wrong)
    assert "error" in capsys.readouterr().err
