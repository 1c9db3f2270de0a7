"""What each request does, seen from a bare socket."""

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
