"""`npc-engine serve`: keys, and settings that are wrong before anything is loaded."""

import typer
from typer.testing import CliRunner

from npc_engine.cli.serve import serve
from npc_engine.errors import ConfigError, UnsafeBind
from npc_engine.server.auth import load_keys

app = typer.Typer()
app.command()(serve)


def test_keys_are_made_and_work(tmp_path):
    result = CliRunner().invoke(app, ["--generate-keys", str(tmp_path / "keys")])
    assert result.exit_code == 0
    assert "server.key_secret" in result.stdout
    assert load_keys(tmp_path / "keys" / "server.key_secret").secret_key


def test_keys_are_not_made_twice(tmp_path):
    CliRunner().invoke(app, ["--generate-keys", str(tmp_path)])
    again = CliRunner().invoke(app, ["--generate-keys", str(tmp_path)])
    assert isinstance(again.exception, ConfigError)


def test_a_wrong_setting_is_told_before_anything_is_loaded():
    result = CliRunner().invoke(app, ["--device", "abacus"])
    assert isinstance(result.exception, ConfigError)
    assert "device" in str(result.exception)


def test_an_unsafe_address_is_told_before_anything_is_loaded():
    result = CliRunner().invoke(app, ["--address", "tcp://0.0.0.0:5570"])
    assert isinstance(result.exception, UnsafeBind)
