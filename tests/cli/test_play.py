import io

from npc_engine.client.blocking import Client
from npc_engine.config import load_config
from npc_engine.dialogue.engine import load_dialogue
from npc_engine.server.background import BackgroundServer


def test_a_piped_talk(command, stubs, mara_file, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("What does a sword cost?\n/why\n/quit\n"))
    code, out, err = command("play", "mara", "--sheets", mara_file, "--seed", "1")
    assert code == 0
    assert out.splitlines()[:2] == ["Mara Holt: Come in.", "Mara Holt: That is forty crowns. Good iron never lies."]
    assert "facts: price-sword" in out
    assert "A sword costs forty crowns." in out
    assert "loading stub" in err


def test_a_talk_with_a_running_server(command, stubs, mara_file, monkeypatch):
    config = load_config(sheets=(mara_file,), address="tcp://127.0.0.1:*")
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello.\n"))
    with BackgroundServer(load_dialogue(config), config=config) as server:
        code, out, err = command("play", "mara", "--address", server.address)
        with Client(server.address) as client:
            assert client.health().engine["conversations"] == 0
    assert (code, err) == (0, "")
    assert "That is forty crowns." in out


def test_nobody_of_that_name(command, stubs, mara_file, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello.\n"))
    code, _, err = command("play", "maria", "--sheets", mara_file)
    assert code == 1
    assert err.splitlines()[-2:] == ["NPC301: no character 'maria'", "hint: loaded are: mara"]


def test_wrong_settings_are_told_before_anything_is_loaded(command, stubs, mara_file, tmp_path):
    code, out, err = command("play", "mara", "--sheets", tmp_path / "none.yaml", "--device", "abacus")
    assert (code, out) == (1, "")
    assert err.startswith("NPC001: device:")
    code, _, err = command("play", "mara", "--model", "no-such-model")
    assert code == 1
    assert err.startswith("NPC401:")
