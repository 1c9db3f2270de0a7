"""Starting, stopping, and clients that die, stall or never read."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from npc_engine.errors import AddressInUse, ConfigError, NpcEngineError, UnsafeBind
from npc_engine.server.server import Server
from tests.scripted import PATIENCE_S, BareClient, RunningServer, ScriptedDialogue, free_port_config


async def refusal_at_startup(**settings):
    dialogue = ScriptedDialogue()
    server = Server(dialogue, config=free_port_config(**settings))
    with pytest.raises(NpcEngineError) as caught:
        await server.startup()
    assert not dialogue.started
    return caught.value


async def test_a_taken_address_is_told_and_the_next_server_can_have_it():
    with RunningServer(free_port_config()) as server:
        address = server.address
        assert isinstance(await refusal_at_startup(address=address), AddressInUse)
    again = Server(ScriptedDialogue(), config=free_port_config(address=address))
    await again.startup()
    assert again.address == address
    await again.shutdown()


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:0", "tcp://*:0", "tcp://192.0.2.1:5570", "tcp://example.org:5570"])
async def test_no_bind_off_loopback_without_keys(address):
    assert isinstance(await refusal_at_startup(address=address), UnsafeBind)


@pytest.mark.parametrize("address", ["127.0.0.1:5570", "ipc:///tmp/x", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", ""])
async def test_an_address_that_is_none(address):
    error = await refusal_at_startup(address=address)
    assert (type(error), "tcp://127.0.0.1:5570" in error.hint) == (ConfigError, True)


async def test_a_dialogue_that_does_not_start_leaves_nothing_bound():
    class Broken(ScriptedDialogue):
        async def start(self):
            raise ConfigError("no model")

    dialogue = Broken()
    config = free_port_config()
    with pytest.raises(ConfigError, match="no model"):
        await Server(dialogue, config=config).startup()
    assert dialogue.closed.is_set()


async def test_ipv6_loopback_is_loopback():
    server = Server(ScriptedDialogue(), config=free_port_config(address="tcp://[::1]:0"))
    try:
        await server.startup()
    except ConfigError as error:
        if isinstance(error, UnsafeBind):
            raise
        pytest.skip(f"this machine has no IPv6: {error.message}")
    await server.shutdown()


def stop_and_see(server, client):
    server.stop()
    while not client.ask("health")["server"]["is_stopping"]:
        pass


def test_shutdown_lets_a_turn_finish():
    with RunningServer(free_port_config(shutdown_grace_s=PATIENCE_S)) as server, BareClient(server.address) as client:
        conversation_id = client.hello().open()
        client.send("say", conversation_id=conversation_id, text="act")
        call = client.until("action_call")
        stop_and_see(server, client)
        client.send("action_result", conversation_id=conversation_id, call_id=call["call_id"], result={})
        assert client.until("turn_end")["finish_reason"] == "stop"
        server.join()
    assert (server.report.num_finished, server.report.num_cancelled) == (1, 0)
    assert server.dialogue.closed.is_set()


def test_shutdown_cancels_what_does_not_finish_and_the_client_hears_it(client, server):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="wait")
    client.until("token")
    server.stop()
    assert client.until("turn_end")["finish_reason"] == "cancelled"
    server.join()
    assert (server.report.num_finished, server.report.num_cancelled) == (0, 1)
    assert server.conversation(conversation_id).closed.is_set()


def test_nothing_new_begins_during_shutdown():
    with RunningServer(free_port_config(shutdown_grace_s=PATIENCE_S)) as server, BareClient(server.address) as client:
        first, second = client.hello().open(), client.open()
        client.send("say", conversation_id=first, text="wait")
        client.until("token")
        stop_and_see(server, client)
        assert client.ask("say", conversation_id=second, text="Hi")["code"] == "NPC306"
        assert client.ask("open_conversation", character_id="mara", player_id="ada")["code"] == "NPC306"
        with BareClient(server.address) as late:
            assert late.ask("hello", protocol_version=1)["code"] == "NPC306"
        client.send("cancel", conversation_id=first)
        client.until("turn_end")


def test_a_turn_that_ignores_its_cancel_does_not_hold_up_shutdown(monkeypatch, client, server):
    monkeypatch.setattr("npc_engine.server.sessions.CANCEL_GRACE_S", 0.1)
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="stubborn")
    client.until("token")
    server.stop()
    server.join()
    assert server.report.num_cancelled == 1
    assert server.conversation(conversation_id).closed.is_set()


def test_a_client_killed_in_mid_turn_has_its_turn_cancelled(server, client):
    with BareClient(server.address) as victim:
        conversation = server.conversation(victim.hello().open())
        victim.send("say", conversation_id=conversation.id, text="endless")
        victim.until("token")
        victim.kill()
    assert conversation.ended.wait(PATIENCE_S)
    assert conversation.closed.wait(PATIENCE_S)
    # The same loop has dropped it.
    assert client.ask("health")["server"]["num_clients"] == 1


def test_a_client_that_does_not_read_is_dropped_and_others_talk_on(server, client):
    conversation_id = client.open()
    with BareClient(server.address, rcvhwm=1, rcvbuf=4096) as slow:
        conversation = server.conversation(slow.hello().open())
        slow.send("say", conversation_id=conversation.id, text="flood")
        assert conversation.speaking.wait(PATIENCE_S)
        while not conversation.closed.is_set():
            client.send("say", conversation_id=conversation_id, text="Hi")
            assert client.until("turn_end")["finish_reason"] == "stop"
    assert client.ask("health")["server"]["num_clients"] == 1


def test_many_turns_of_one_client_run_side_by_side(client):
    ids = [client.open() for _ in range(20)]
    for conversation_id in ids:
        client.send("say", conversation_id=conversation_id, text="wait")
    for conversation_id in ids:
        client.send("cancel", conversation_id=conversation_id)
    assert {client.until("turn_end")["conversation_id"] for _ in ids} == set(ids)


async def test_a_server_that_is_cancelled_shuts_down():
    dialogue = ScriptedDialogue()
    server = Server(dialogue, config=free_port_config())
    await server.startup()
    serving = asyncio.create_task(server.serve())
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    report = await server.shutdown()
    assert (report.num_cancelled, dialogue.closed.is_set()) == (0, True)


CTRL_C_PROGRAM = """
from npc_engine.server.run import run_server
from tests.scripted import ScriptedDialogue, free_port_config
print(run_server(ScriptedDialogue(), config=free_port_config(), on_ready=lambda address: print(address, flush=True)))
"""


# What Windows delivers to another process group is Ctrl+Break.
STOPS = [signal.CTRL_BREAK_EVENT] if sys.platform == "win32" else [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_ctrl_c_and_stop_signals_cancel_the_turns_and_say_how_many(stop):
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C_PROGRAM],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        creationflags=flags,
    ) as process:
        with BareClient(process.stdout.readline().strip()) as client:
            conversation_id = client.hello().open()
            client.send("say", conversation_id=conversation_id, text="wait")
            client.until("token")
            os.kill(process.pid, stop)
            assert client.until("turn_end")["finish_reason"] == "cancelled"
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "num_cancelled=1" in output, "Traceback" in output) == (0, True, False)
