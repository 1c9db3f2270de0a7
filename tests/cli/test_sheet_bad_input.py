"""Broken sheet files for every sheet command: a coded error under a second, and nothing written."""

import time

import pytest

from npc_engine.sheets.templates import template_path
from tests.bad_input.boundary import run, tree

GOOD = template_path("guard").read_text(encoding="utf-8")
BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)

BROKEN = {
    "empty": (b"", "NPC103"),
    "spaces": (b"  \n \n", "NPC103"),
    "a tab": (GOOD.replace("  name: ", "\tname: ").encode(), "NPC102"),
    "a key twice": (GOOD.replace("id: guard\n", "id: guard\nid: guard\n").encode(), "NPC102"),
    "a key of a fact twice": (GOOD.replace("    text: I open", "    text: x\n    text: I open").encode(), "NPC102"),
    "an anchor": (GOOD.replace("greeting: ", "greeting: &a ").encode(), "NPC102"),
    "an alias bomb": (BOMB.encode(), "NPC102"),
    "a merge key": (GOOD.replace("voice:\n", "voice:\n  <<: *x\n").encode(), "NPC102"),
    "a tag": (GOOD.replace("greeting: ", "greeting: !!python/object:os.system ").encode(), "NPC102"),
    "two documents": ((GOOD + "---\nid: two\n").encode(), "NPC102"),
    "UTF-16": (GOOD.encode("utf-16"), "NPC102"),
    "Latin-1": (GOOD.replace("Ilse", "Ilsé").encode("latin-1"), "NPC102"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "NPC102"),
    "zero bytes": (b"id: guard\x00\n", "NPC102"),
    "a control character": (GOOD.replace("Stop there.", "Stop\x07 there.").encode(), "NPC102"),
    "an open bracket": (GOOD.replace("avoid: [", "avoid: [[").encode(), "NPC102"),
    "an open quote": (GOOD.replace("greeting: ", 'greeting: "').encode(), "NPC102"),
    "deep nesting": (("a: " + "[" * 300).encode(), "NPC102"),
    "a list": (b"- id: guard\n", "NPC103"),
    "a text": (b"Sergeant Ilse Brandt\n", "NPC103"),
    "a newer schema": (GOOD.replace("character@1", "character@2").encode(), "NPC105"),
    "a lore file": (b"schema: npc-engine/lore@1\ntitle: x\nentries: [{id: a, text: b}]\n", "NPC105"),
    "no schema": (GOOD.replace("schema: npc-engine/character@1\n", "").encode(), "NPC105"),
    "an unknown key": (GOOD.replace("greeting:", "greetings:").encode(), "NPC103"),
    "a wrong type": (GOOD.replace("secret: true", "secret: 1").encode(), "NPC103"),
    "a condition that is none": (GOOD.replace("quest('wall') >= 1", "quest(wall) >> 1").encode(), "NPC104"),
    "JSON of something else": (b'{"spec": "chara_card_v2", "data": {}}', "NPC105"),
    "a number of a thousand digits": (GOOD.replace("id: guard\n", f"id: {'9' * 1000}\n").encode(), "NPC102"),
    "a fact twice": (GOOD.replace("- id: knee", "- id: blades").encode(), "NPC103"),
    "50 MB": (b"# " + b"x" * 50_000_000, "NPC106"),
}
# `format` lays out any YAML of our kind, so it takes what only the schema refuses.
COMMANDS = {
    "lint": ["lint", "FILE"],
    "lint as SARIF": ["lint", "FILE", "--format", "sarif"],
    "lint and fix": ["lint", "FILE", "--fix"],
    "show": ["show", "FILE"],
    "ask": ["ask", "FILE", "Who are you?"],
    "diff": ["diff", "GOOD", "FILE"],
    "diff the other way": ["diff", "FILE", "GOOD"],
    "rename": ["rename", "FILE", "knee", "leg"],
    "format": ["format", "FILE"],
    "format, check": ["format", "--check", "FILE"],
}


@pytest.fixture(scope="module", autouse=True)
def imported():
    """The first command of a process imports half of it, which is not what is timed."""
    run("sheet", "lint", template_path("guard"), "--no-models")
    run("sheet", "show", template_path("guard"))
    run("sheet", "diff", template_path("guard"), template_path("healer"), "--no-models")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / ".cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_sheet_is_refused_by_every_command(what, home):
    content, code = BROKEN[what]
    file = home / "sheet.yaml"
    file.write_bytes(content)
    (home / "good.yaml").write_text(GOOD, encoding="utf-8")
    before = tree(home)
    for name, arguments in COMMANDS.items():
        is_layout = name.startswith("format")
        if is_layout and code in ("NPC103", "NPC104", "NPC105"):
            continue
        words = [{"FILE": file, "GOOD": home / "good.yaml"}.get(word, word) for word in arguments]
        # The processor's second: the wall's is also that of whatever else runs.
        begun = time.process_time()
        printed = run("sheet", *words)
        assert time.process_time() - begun < 1, name
        assert printed.exit_code == 1, (name, printed)
        assert code in printed.out + printed.err, (name, printed)
        assert "Traceback" not in printed.out + printed.err
        assert tree(home) == before, name


@pytest.mark.parametrize("what", [what for what, (_, code) in BROKEN.items() if code in ("NPC103", "NPC104", "NPC105")])
def test_format_never_changes_the_data_of_a_sheet_that_does_not_load(what, home):
    from npc_engine.sheets.yaml_reader import read_yaml

    file = home / "sheet.yaml"
    file.write_bytes(BROKEN[what][0])
    before = read_yaml(file).data
    run("sheet", "format", file)
    assert read_yaml(file).data == before


OUTPUTS = {
    "a file that is there": "good.yaml",
    "a folder": ".",
    "a folder that is not there": "none/x.yaml",
    "below a file": "good.yaml/x.yaml",
    "a name too long": "x" * 300 + ".yaml",
}


@pytest.mark.parametrize("what", OUTPUTS)
def test_new_writes_nowhere_else(what, home):
    (home / "good.yaml").write_text(GOOD, encoding="utf-8")
    before = tree(home)
    printed = run("sheet", "new", "--from", "guard", OUTPUTS[what])
    assert (printed.exit_code, printed.error.code) == (1, "NPC118"), printed
    assert tree(home) == before


@pytest.mark.parametrize(
    "arguments", [["format"], ["rename", "knee", "leg"], ["lint", "--fix"]], ids=lambda words: words[0]
)
def test_a_read_only_file_stays(arguments, home):
    file = home / "sheet.yaml"
    file.write_text(
        GOOD.replace("greeting: ", "greeting:   ").replace("pass free.", "pass free.\n    when: trust >= 0"),
        encoding="utf-8",
    )
    file.chmod(0o444)
    before = tree(home)
    command, *rest = arguments
    printed = run("sheet", command, file, *rest)
    assert (printed.exit_code, printed.error.code) == (1, "NPC118"), printed
    assert "read-only" in printed.error.message
    assert tree(home) == before


@pytest.mark.parametrize("command", ["lint", "show", "format"])
@pytest.mark.parametrize("path", ["none.yaml", "empty"])
def test_nothing_to_read(command, path, home):
    (home / "empty").mkdir()
    printed = run("sheet", command, path)
    assert (printed.exit_code, printed.error.code) == (1, "NPC101"), printed
