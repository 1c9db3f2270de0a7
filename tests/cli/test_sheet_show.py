"""`npc-engine sheet show` and `ask`: what the engine makes of a sheet, and why it answers as it does."""

import json

from npc_engine.sheets.library import shipped_sheets_dir

HESTA = shipped_sheets_dir() / "hesta.yaml"


def test_without_a_model_there_are_no_tokens_and_a_note(tmp_path, monkeypatch, command):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path))
    code, out, err = command("sheet", "show", HESTA)
    assert code == 0
    always, rest = out.split("Looked up when")
    looked_up, hidden = rest.split("Hidden until")
    assert "Proud of plain work" in always
    assert "- price-short-sword: I charge 40 crowns for a short sword.\n" in looked_up
    assert "[lore/kettlewick.yaml]" in looked_up
    assert "[secret, trust >= 50]" in hidden
    assert "- sell_item(item: string, quantity: integer), asks first" in hidden
    assert err == "note: no dialogue model is installed: tokens are not counted (npc-engine models pull tiny)\n"


def test_tokens_are_those_of_the_installed_model(mara_file, stubs, command):
    code, out, err = command("sheet", "show", mara_file)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[1].startswith("tokens are those of stub, context ")
    (total,) = (line for line in lines if "together, of" in line)
    (examples,) = (line for line in lines if "example turns" in line)
    stable, allowed = int(total.split()[0]), int(total.split("together, of ")[1].split()[0])
    assert 0 < int(examples.split()[0]) < stable <= allowed


def test_another_model_is_named_where_the_chosen_one_is_missing(mara_file, stubs, command):
    assert (
        "note: base is not installed: tokens are those of stub\n"
        in command("sheet", "show", mara_file, "--model", "base")[2]
    )


def test_a_state_says_what_holds(tmp_path, monkeypatch, command):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path))
    out = command("sheet", "show", HESTA, "--state", "trust=55")[1]
    assert "[secret, trust >= 50: holds]" in out
    assert "[secret, trust >= 70: does not hold]" in out


def test_a_state_that_is_none(command):
    code, _, err = command("sheet", "show", HESTA, "--state", "trust=500")
    assert (code, "NPC309" in err) == (1, True)


def test_the_prompt_itself(mara_file, stubs, command):
    out = command("sheet", "show", mara_file, "--prompt")[1]
    assert "Rules:" in out
    assert "<|im_start|>system" in out


def test_ask_answers_and_says_why(mara_file, stubs, command, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_GUARD", "judge")
    code, out, _ = command("sheet", "ask", mara_file, "What does a sword cost?")
    assert code == 0
    assert "forty" in out.splitlines()[0]
    assert "premises (" in out
    assert "judged by string rules and nli" in out
    monkeypatch.setenv("NPC_ENGINE_NLI", "absent")
    out = command("sheet", "ask", mara_file, "What does a sword cost?")[1]
    assert "judged by no NLI model: string rules only" in out


def test_ask_as_json(mara_file, stubs, command):
    code, out, _ = command("sheet", "ask", mara_file, "What does a sword cost?", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["trace"]["premises"]
    assert document["reply"]


def test_ask_wants_a_state_that_is_one(mara_file, stubs, command):
    code, _, err = command("sheet", "ask", mara_file, "Hello", "--state", "trst=3")
    assert (code, "NPC309" in err) == (1, True)
