"""CURVE keys: made, loaded, and who gets in."""

import pytest

from npc_engine.client import Client, CurveKeys
from npc_engine.errors import ConfigError, ConnectionLost, RequestTimeout
from npc_engine.server.auth import generate_keys, load_keys, parse_address
from tests.scripted import RunningServer, free_port_config


@pytest.fixture
def key_folder(tmp_path):
    generate_keys(tmp_path)
    return tmp_path


@pytest.fixture
def guarded(key_folder):
    """A server that could stand off loopback."""
    config = free_port_config(address="tcp://0.0.0.0:0", curve_secret_key_file=key_folder / "server.key_secret")
    with RunningServer(config) as server:
        yield server.address.replace("0.0.0.0", "127.0.0.1")


def test_a_known_client_talks(guarded, key_folder):
    keys = CurveKeys.load(server_key=key_folder / "server.key", client_secret_key=key_folder / "game.key_secret")
    with Client(guarded, keys=keys) as client, client.open("mara", player_id="ada") as talk:
        assert talk.say("Fine weather.").finish().text == "Fine weather."


def test_an_unknown_key_is_turned_away(guarded, key_folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("stranger")
    generate_keys(elsewhere)
    keys = CurveKeys.load(server_key=key_folder / "server.key", client_secret_key=elsewhere / "game.key_secret")
    with pytest.raises(ConnectionLost, match="refused"):
        Client(guarded, keys=keys).connect()


def test_the_wrong_server_key_and_no_keys_are_turned_away(guarded, key_folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("other-server")
    generate_keys(elsewhere)
    keys = CurveKeys.load(server_key=elsewhere / "server.key", client_secret_key=key_folder / "game.key_secret")
    for wrong in (keys, None):
        with pytest.raises((ConnectionLost, RequestTimeout)):
            Client(guarded, keys=wrong, timeout_s=1.0).connect()


def test_keys_are_never_overwritten(key_folder):
    before = (key_folder / "server.key_secret").read_bytes()
    with pytest.raises(ConfigError, match="already exists"):
        generate_keys(key_folder)
    assert (key_folder / "server.key_secret").read_bytes() == before


def test_a_key_folder_without_clients_is_refused(key_folder):
    (key_folder / "clients" / "game.key").unlink()
    with pytest.raises(ConfigError, match="no client keys"):
        load_keys(key_folder / "server.key_secret")


@pytest.mark.parametrize("name", ["missing.key_secret", "server.key", "empty"])
def test_a_key_file_that_is_none_is_refused(key_folder, name):
    (key_folder / "empty").touch()
    with pytest.raises(ConfigError):
        load_keys(key_folder / name)


@pytest.mark.parametrize(
    ("address", "endpoint", "is_loopback"),
    [
        ("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5570", True),
        ("tcp://127.9.9.9:*", "tcp://127.9.9.9:0", True),
        ("tcp://localhost:1", "tcp://127.0.0.1:1", True),
        ("tcp://[::1]:5570", "tcp://[::1]:5570", True),
        ("tcp://10.0.0.1:5570", "tcp://10.0.0.1:5570", False),
        ("tcp://*:5570", "tcp://*:5570", False),
        ("tcp://localhost.example.org:5570", "tcp://localhost.example.org:5570", False),
    ],
)
def test_addresses_are_read(address, endpoint, is_loopback):
    parsed = parse_address(address)
    assert (parsed.endpoint, parsed.is_loopback) == (endpoint, is_loopback)
