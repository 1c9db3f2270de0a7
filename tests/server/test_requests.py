"""What each request does, seen from a bare socket."""

import pytest

from npc_engine.sheets.controls import ControlOverrides
from tests.scripted import PATIENCE_S, BareClient, RunningServer, free_port_config


def test_hello_tells_the_limits(server, bare):
    welcome = bare.ask("hello", protocol_version=1, client="test")
    assert (welcome["kind"], welcome["protocol_version"]) == ("welcome", 1)
    assert welcome["limits"]["max_text_chars"] == server.config.max_text_chars


def test_characters_are_listed(client):
    reply = client.ask("list_characters")
    assert reply["kind"] == "characters"
    assert reply["characters"][0] == {"id": "mara", "name": "Mara", "role": "weapon merchant"}


def test_a_turn_streams_and_ends(client):
    conversation_id = client.open()
    request_id = client.send("say", conversation_id=conversation_id, text="A fine blade.")
    replies = [client.receive() for _ in range(5)]
    assert [reply["kind"] for reply in replies] == ["token", "token", "token", "sentence", "turn_end"]
    assert {reply["request_id"] for reply in replies} == {request_id}
    assert {reply["conversation_id"] for reply in replies} == {conversation_id}
    assert replies[-1] == {
        "kind": "turn_end",
        "request_id": request_id,
        "conversation_id": conversation_id,
        "text": "A fine blade.",
        "finish_reason": "stop",
        "source": "model",
        "trace": {"stages": [1.5, None, True]},
    }


def test_an_opened_conversation_greets_and_keeps_the_state(server, client):
    reply = client.ask("open_conversation", character_id="mara", player_id="ada", player_name="Ada", state={"trust": 3})
    assert reply["greeting"] == "Well met, Ada."
    assert server.conversation(reply["conversation_id"]).state == {"trust": 3}


def test_cancel_ends_the_turn(client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="wait")
    client.until("token")
    assert client.ask("cancel", conversation_id=conversation_id)["cancelled"] is True
    assert client.until("turn_end")["finish_reason"] == "cancelled"
    assert client.ask("cancel", conversation_id=conversation_id)["cancelled"] is False


def test_an_action_is_called_and_answered(client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="act now")
    call = client.until("action_call")
    assert (call["name"], call["arguments"]) == ("sell", {"item": "sword", "price": 12})
    assert (call["idempotency_key"], call["cost"]) == ("k1", 2.5)
    wrong = client.ask("action_result", conversation_id=conversation_id, call_id="other", result={})
    assert wrong["code"] == "NPC308"
    # `ok` may arrive after the turn's next sentence: nothing is matched by order.
    client.send("action_result", conversation_id=conversation_id, call_id="call-1", error="no coin")
    assert client.until("sentence")["text"] == "Result: no coin"
    assert client.until("turn_end")["finish_reason"] == "stop"


def test_world_events_reach_one_or_all_conversations(server, client):
    first, second = client.open(), client.open("tobin")
    assert client.ask("world_event", text="It rains.", game_time=7.5)["kind"] == "ok"
    assert client.ask("world_event", conversation_id=first, text="It snows.")["kind"] == "ok"
    assert server.conversation(first).heard_events == [("It rains.", 7.5), ("It snows.", None)]
    assert server.conversation(second).heard_events == [("It rains.", 7.5)]


def test_state_is_set_or_refused_whole(server, client):
    conversation_id = client.open()
    assert client.ask("set_state", conversation_id=conversation_id, changes={"trust": 9})["kind"] == "ok"
    refused = client.ask("set_state", conversation_id=conversation_id, changes={"trust": "much"})
    assert refused["code"] == "NPC309"
    assert server.conversation(conversation_id).state == {"trust": 9}


def test_controls_are_set_and_given_back(server, client):
    conversation_id = client.open()
    now = client.ask("set_controls", conversation_id=conversation_id, controls={"max_words": 20, "role_play": 0.9})
    assert (now["kind"], now["conversation_id"]) == ("controls_set", conversation_id)
    assert {name: value for name, value in now["controls"].items() if value is not None} == {
        "max_words": 20,
        "role_play": 0.9,
    }
    assert {values["max_words"] for values in now["in_force"].values()} == {20}
    back = client.ask("set_controls", conversation_id=conversation_id, controls={"max_words": None})
    assert (back["controls"]["max_words"], back["controls"]["role_play"]) == (None, 0.9)
    assert back["in_force"]["world"]["max_words"] != 20


@pytest.mark.parametrize(
    ("controls", "names"),
    [
        ({"max_words": 1000}, "max_words"),
        ({"max_words": 20.5}, "max_words"),
        ({"role_play": True}, "role_play"),
        ({"loudness": 1}, "loudness"),
        ({"max_word": 9}, "max_words"),
    ],
)
def test_controls_that_are_wrong_change_nothing(server, client, controls, names):
    conversation_id = client.open()
    refused = client.ask("set_controls", conversation_id=conversation_id, controls={"synchrony": 1} | controls)
    assert refused["code"] == "NPC316"
    assert names in refused["message"]
    assert server.conversation(conversation_id).controls == ControlOverrides()
    refused = client.ask("say", conversation_id=conversation_id, text="Hello.", controls=controls)
    assert refused["code"] == "NPC316"
    assert client.ask("say", conversation_id=conversation_id, text="Hello.")["kind"] == "token"


def test_controls_may_change_while_a_turn_runs(server, client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="wait")
    client.until("token")
    assert client.ask("set_controls", conversation_id=conversation_id, controls={"max_words": 9})["kind"] == (
        "controls_set"
    )
    client.send("cancel", conversation_id=conversation_id)
    assert client.until("turn_end")["finish_reason"] == "cancelled"


def test_a_line_may_have_controls_and_a_seed_of_its_own(server, client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="Hello.", controls={"max_words": 9}, seed=4294967295)
    client.until("turn_end")
    assert server.conversation(conversation_id).heard_with == (ControlOverrides(max_words=9), 4294967295)
    for seed in (-1, 1 << 32, 1.0, "1"):
        assert client.ask("say", conversation_id=conversation_id, text="Hello.", seed=seed)["code"] == "NPC202"


def test_turns_are_taken_back(server, client):
    conversation_id = client.open()
    for line in ("One.", "Two.", "Three."):
        client.send("say", conversation_id=conversation_id, text=line)
        client.until("turn_end")
    undone = client.ask("undo", conversation_id=conversation_id)
    assert (undone["kind"], undone["remaining"]) == ("undone", 2)
    assert client.ask("undo", conversation_id=conversation_id, turns=3)["code"] == "NPC317"
    assert server.conversation(conversation_id).lines == ["One.", "Two."]
    assert client.ask("undo", conversation_id=conversation_id, turns=2)["remaining"] == 0
    for turns in (0, -1, 1.0, None):
        assert client.ask("undo", conversation_id=conversation_id, turns=turns)["code"] == "NPC202"


def test_nothing_is_taken_back_while_a_turn_runs(client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="wait")
    client.until("token")
    assert client.ask("undo", conversation_id=conversation_id)["code"] == "NPC304"
    client.send("cancel", conversation_id=conversation_id)
    client.until("turn_end")
    assert client.ask("undo", conversation_id=conversation_id)["remaining"] == 0


@pytest.mark.parametrize(("kind", "fields"), [("set_controls", {"controls": {}}), ("undo", {})])
def test_what_concerns_a_conversation_needs_one(client, kind, fields):
    assert client.ask(kind, conversation_id="nobody", **fields)["code"] == "NPC302"
    conversation_id = client.open()
    client.ask("close_conversation", conversation_id=conversation_id)
    assert client.ask(kind, conversation_id=conversation_id, **fields)["code"] == "NPC303"
    assert client.ask(kind, conversation_id="nobody", loud=True, **fields)["code"] == "NPC202"


def test_a_game_declares_actions_of_its_own(server, client):
    gate = {"name": "open_gate", "description": "Opens the town gate.", "cost": 2.5}
    reply = client.ask("open_conversation", character_id="mara", player_id="ada", declare_actions=[gate])
    _, (declared,) = server.conversation(reply["conversation_id"]).actions
    assert (declared.name, declared.cost) == ("open_gate", 2.5)
    for wrong in ([gate, gate], [{"name": "open_gate"}], [gate | {"loud": True}], [{}] * 257):
        reply = client.ask("open_conversation", character_id="mara", player_id="ada", declare_actions=wrong)
        assert reply["code"] == "NPC315"
    for wrong in (["open_gate"], gate, None):
        reply = client.ask("open_conversation", character_id="mara", player_id="ada", declare_actions=wrong)
        assert reply["code"] == "NPC202"


def test_close_in_mid_turn_ends_the_turn_first(server, client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="wait")
    client.until("token")
    client.send("close_conversation", conversation_id=conversation_id)
    assert client.receive()["finish_reason"] == "cancelled"
    assert client.receive()["kind"] == "conversation_closed"
    assert server.conversation(conversation_id).closed.is_set()


def test_health_and_metrics_report(client):
    client.open()
    report = client.ask("health")
    assert report["engine"] == {"model": "scripted", "provider": "none"}
    assert report["server"] == {
        "num_clients": 1,
        "num_conversations": 1,
        "num_running_turns": 0,
        "is_stopping": False,
    }
    assert client.ask("metrics")["text"] == "# scripted\n"


def test_bye_cancels_and_closes_and_hello_begins_anew(server, client):
    conversation_id = client.open()
    client.send("say", conversation_id=conversation_id, text="wait")
    client.until("token")
    assert client.ask("bye")["kind"] == "ok"
    assert server.conversation(conversation_id).closed.wait(PATIENCE_S)
    assert client.ask("health")["code"] == "NPC205"
    client.hello()
    assert client.ask("health")["server"]["num_conversations"] == 0


def test_a_silent_client_is_dropped_and_its_conversations_are_closed():
    with RunningServer(free_port_config(client_timeout_s=0.1)) as server, BareClient(server.address) as client:
        conversation = server.conversation(client.hello().open())
        assert conversation.closed.wait(PATIENCE_S)
        assert client.ask("health")["code"] == "NPC205"


def test_a_client_waiting_for_its_turn_is_not_silent():
    with RunningServer(free_port_config(client_timeout_s=0.1)) as server, BareClient(server.address) as client:
        waiting = client.hello().open()
        client.send("say", conversation_id=waiting, text="wait")
        with BareClient(server.address) as other:
            # Dropped, so the clock has run out for both; only this one had no turn.
            assert server.conversation(other.hello().open()).closed.wait(PATIENCE_S)
        assert client.ask("cancel", conversation_id=waiting)["cancelled"] is True


def test_clients_and_conversations_are_limited():
    config = free_port_config(max_clients=1, max_conversations_per_client=1)
    with RunningServer(config) as server, BareClient(server.address) as client, BareClient(server.address) as late:
        client.hello().open()
        assert client.ask("open_conversation", character_id="mara", player_id="ada")["code"] == "NPC310"
        refused = late.ask("hello", protocol_version=1)
        assert refused["code"] == "NPC306"
        assert refused["retry_after_s"] > 0
        client.ask("bye")
        late.hello()
