import io
import signal
import socket
import subprocess
import sys
import urllib.request
from urllib.parse import urlsplit

import pytest

from npc_engine.client.blocking import Client
from npc_engine.config import load_config
from npc_engine.dialogue.engine import load_dialogue
from npc_engine.playtest.web import page_files
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
        code, out, err = command("play", "mara", "--endpoint", server.address)
        with Client(server.address) as client:
            assert client.health().engine["conversations"] == 0
    assert (code, err) == (0, "")
    assert "That is forty crowns." in out


def test_a_piped_talk_with_two(command, stubs, mara_file, monkeypatch):
    tobin = mara_file.read_text(encoding="utf-8").replace("id: mara", "id: tobin").replace("Mara Holt", "Tobin Reed")
    (mara_file.parent / "tobin.yaml").write_text(tobin, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("Tobin, what does a sword cost?\n/who\n/why Tobin\n"))
    options = ("--with", "tobin", "--sheets", mara_file.parent, "--seed", "1")
    code, out, _ = command("play", "mara", *options)
    assert code == 0
    assert out.splitlines()[:3] == [
        "Mara Holt: Come in.", "Tobin Reed: Come in.", "Tobin Reed: That is forty crowns. Good iron never lies.",
    ]  # fmt: skip
    assert "Tobin Reed has just said to Traveller: That is forty crowns." in out
    assert "A sword costs forty crowns." in out


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (["maria"], "NPC301: no character 'maria'"),
        (["mara"], "NPC300: mara is named twice"),
        (["tobin", "tobin"], "NPC301: no character 'tobin'"),
    ],
)
def test_who_cannot_be_there(command, stubs, mara_file, monkeypatch, others, told):
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello.\n"))
    named = [part for one in others for part in ("--with", one)]
    code, out, err = command("play", "mara", *named, "--sheets", mara_file)
    assert (code, out) == (1, "")
    assert told in err
    assert "hint: " in err


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a character"),
        (["--web", "--endpoint", "tcp://127.0.0.1:1"], "leave --endpoint out"),
        (["mara", "--endpoint", "tcp://127.0.0.1:1", "--model", "tiny"], "are the server's own"),
        (["mara", "--game", "chess"], "--game"),
        (["mara", "--web", "--with", "tobin"], "leave --with or --web out"),
        (["--with", "tobin"], "name a character"),
        (["mara", "--seed", "-1"], "--seed"),
        (["--web", "--port", "70000"], "--port"),
    ],
)
def test_a_wrong_command_line(command, arguments, told, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = command("play", *arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_a_bad_talk_lies_beside_the_sheet(command, stubs, mara_file, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("What does a sword cost?\n/bad too dear\n"))
    code, out, _ = command("play", "mara", "--sheets", mara_file, "--game", "none")
    assert code == 0
    assert (mara_file.parent / "scenarios" / "mara.yaml").is_file()
    assert "kept as the scenario 'too dear'" in out


def test_the_page_is_served_until_ctrl_c(stubs, mara_file):
    arguments = [sys.executable, "-u", "-m", "npc_engine", "play", "--web", "--port", "0", "--sheets", str(mara_file)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        address = served.stdout.readline().split()[-1]
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.read() == page_files()["/index.html"]
        assert urlsplit(address).hostname == "127.0.0.1"
        served.send_signal(signal.SIGINT)
        _, err = served.communicate(timeout=60)
    assert served.returncode == 0, err
    assert "stopping" in err
    assert "Traceback" not in err


def test_a_port_that_is_taken(command, stubs, mara_file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = command("play", "--web", "--port", taken.getsockname()[1], "--sheets", mara_file)
    assert code == 1
    assert err.splitlines()[-2].startswith("NPC004")
