"""Runs the cases of bindings/CONFORMANCE.md with the Python client: python conformance.py ADDRESS_JSON."""

# Each case is described in bindings/CONFORMANCE.md.

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgpack
import zmq
import zmq.asyncio

from npc_engine.client.asynchronous import AsyncClient, AsyncConversation, AsyncTurn
from npc_engine.client.curve import CurveKeys
from npc_engine.client.turn import ActionFailed
from npc_engine.errors import NpcEngineError
from npc_engine.protocol.messages import ActionCall, Sentence, Token, TurnEnd

CASE_LIMIT_S = 60.0
FAULT_LIMIT_S = 5.0
NUM_ROUND_TRIPS = 1000
GHOST_LIMIT_CHARS = 1000

Addresses = Mapping[str, Any]
Case = Callable[[Addresses], Awaitable[None]]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def check(is_true: bool, *saw: Any) -> None:
    if not is_true:
        raise AssertionError("saw " + ", ".join(map(repr, saw)))


def check_equal(saw: Any, expected: Any) -> None:
    check(saw == expected and repr(saw) == repr(expected), saw, expected)


@contextlib.asynccontextmanager
async def talking(address: str, character: str = "mara", **options: Any):
    async with AsyncClient(address) as client:
        yield client, await client.open(character, player_id="ada", **options)


async def heard(turn: AsyncTurn) -> list[Any]:
    found: list[Any] = []
    async for event in turn:
        if isinstance(event, Token):
            check(len(event.text) <= GHOST_LIMIT_CHARS and event.text != "Ghost", event.text[:80])
            found.append(event.text)
        elif isinstance(event, Sentence):
            found.append((event.index, event.text))
        elif isinstance(event, TurnEnd):
            found.append((event.text, event.finish_reason, event.source, event.trace["script"]))
    return found


async def said(conversation: AsyncConversation, line: str) -> str:
    return (await conversation.say(line).finish()).text


async def code_of(awaitable: Awaitable[Any]) -> str:
    try:
        result = await awaitable
    except NpcEngineError as error:
        return error.code
    return f"no error but {result!r}"


async def first_token(turn: AsyncTurn) -> None:
    check(isinstance(await anext(turn), Token), turn)


@case
async def hello(at: Addresses) -> None:
    async with AsyncClient(at["zmq"]) as client:
        welcome = client.welcome
    check(welcome.protocol_version == 1 and bool(welcome.engine_version), welcome)
    expected = {
        "max_frame_bytes": 65536,
        "max_message_depth": 16,
        "max_text_chars": 500,
        "max_conversations": 8,
        "client_timeout_s": 600.0,
        "turn_deadline_s": 60.0,
        "action_timeout_s": 1.0,
    }
    check_equal(welcome.limits.model_dump(), expected)


@case
async def hello_curve(at: Addresses) -> None:
    def keys(server_key: str) -> CurveKeys:
        return CurveKeys(
            server_public_key=server_key.encode(),
            public_key=at["curve_client_public_key"].encode(),
            secret_key=at["curve_client_secret_key"].encode(),
        )

    async with AsyncClient(at["zmq_curve"], keys=keys(at["curve_server_public_key"])) as client:
        check(client.welcome.protocol_version == 1)
    wrong = AsyncClient(at["zmq_curve"], keys=keys("0" * 40), timeout_s=1)
    check(await code_of(wrong.connect()) in ("NPC311", "NPC313"))


@case
async def wrong_version(at: Addresses) -> None:
    # The client's own codec refuses to send this.
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(at["zmq"])

    async def answer(version: int) -> dict[str, Any]:
        await socket.send(msgpack.packb({"kind": "hello", "request_id": version, "protocol_version": version}))
        return dict(msgpack.unpackb(await socket.recv()))

    try:
        check_equal((await answer(99))["code"], "NPC204")
        check_equal((await answer(1))["kind"], "welcome")
    finally:
        context.destroy(linger=0)


@case
async def list_characters(at: Addresses) -> None:
    async with AsyncClient(at["zmq"]) as client:
        entries = [(each.id, each.name, each.role) for each in await client.characters()]
    check_equal(
        entries,
        [("mara", "Mara", "weapon merchant"), ("tobin", "Tobin", "innkeeper"), ("zoe", "Zoë Ærlig", "chandler")],
    )


@case
async def stream(at: Addresses) -> None:
    line = "Größe zählt: 剣 costs 12 🗡 today."
    async with talking(at["zmq"], player_name="Ada") as (_, talk):
        check_equal(talk.greeting, "Well met, Ada.")
        tokens = ["Größe", " zählt:", " 剣", " costs", " 12", " 🗡", " today."]
        check_equal(await heard(talk.say(line)), [*tokens, (0, line), (line, "stop", "model", "Größe")])


TWO_SENTENCES = [
    *("Steel", " is", " dear."),
    (0, "Steel is dear."),
    *(" Buy", " now!"),
    (1, "Buy now!"),
    ("Steel is dear. Buy now!", "stop", "model", "Steel"),
]


@case
async def sentences(at: Addresses) -> None:
    async with talking(at["zmq"]) as (_, talk):
        check_equal(await heard(talk.say("Steel is dear. Buy now!")), TWO_SENTENCES)
        check_equal(await heard(talk.say("silent")), [("", "stop", "none", "silent")])
        check_equal((await heard(talk.say("guarded")))[-1][1:3], ("guard", "fallback"))
        check_equal((await heard(talk.say("long")))[-1][1:3], ("length", "model"))


@case
async def cancel(at: Addresses) -> None:
    async with talking(at["zmq"]) as (_, talk):
        turn = talk.say("wait")
        await first_token(turn)
        check_equal(await talk.cancel(), True)
        end = await turn.finish()
        check_equal((end.finish_reason, end.text), ("cancelled", "Hm"))
        check_equal(await talk.cancel(), False)
        check_equal(await said(talk, "Again."), "Again.")


@case
async def action_result(at: Addresses) -> None:
    calls: list[ActionCall] = []

    async def sell(call: ActionCall) -> dict[str, Any]:
        calls.append(call)
        return {"sold": True, "price": 12, "name": "sword", "rate": 0.5, "left": None}

    async with talking(at["zmq"], on_action=sell, actions=["sell_item"]) as (_, talk):
        check_equal(await said(talk, "offered"), '["sell_item"]')
        reply = await said(talk, "act sword")
    check_equal(reply, 'Result: {"left":null,"name":"sword","price":12,"rate":0.5,"sold":true}')
    check_equal(len(calls), 1)
    check_equal((bool(calls[0].call_id), calls[0].name), (True, "sell_item"))
    expected = {"item": "sword", "quantity": 2, "price": 12.5, "gift": False, "note": None}
    check_equal(calls[0].arguments, expected)


@case
async def action_error(at: Addresses) -> None:
    async def refuse(call: ActionCall) -> dict[str, Any]:
        raise ActionFailed("no swords left")

    async with talking(at["zmq"], on_action=refuse) as (_, talk):
        check_equal(await said(talk, "act sword"), "Refused: no swords left")


@case
async def action_timeout(at: Addresses) -> None:
    async with talking(at["zmq"], actions=["*"]) as (client, talk):
        turn = talk.say("act sword")
        call = await anext(turn)
        check_equal((await turn.finish()).text, "Nobody answered.")
        check_equal(await code_of(talk.answer(call, {"sold": True})), "NPC308")
        await client.health()


@case
async def request_error(at: Addresses) -> None:
    async with talking(at["zmq"]) as (_, talk):
        try:
            await talk.say("busy").finish()
            check(False, "busy was answered")
        except NpcEngineError as error:
            saw = (error.code, getattr(error, "retry_after_s", None), error.message, error.hint)
            check_equal(saw, ("NPC306", 2.5, "no room", "later"))
        boom = talk.say("boom")
        await first_token(boom)
        check_equal(await code_of(boom.finish()), "NPC500")
        waiting = talk.say("wait")
        await first_token(waiting)
        check_equal(await code_of(talk.say("Hello.").finish()), "NPC304")
        await talk.cancel()
        check_equal((await waiting.finish()).finish_reason, "cancelled")
        check_equal(await code_of(talk.say("x" * 501).finish()), "NPC305")
        check_equal(await said(talk, "Still here."), "Still here.")


@case
async def unknown_character(at: Addresses) -> None:
    async with AsyncClient(at["zmq"]) as client:
        check_equal(await code_of(client.open("nobody", player_id="ada")), "NPC301")
        await client.open("tobin", player_id="ada")


@case
async def world_event(at: Addresses) -> None:
    async with talking(at["zmq"]) as (client, first):
        second = await client.open("tobin", player_id="ada")
        await client.world_event("The north gate has fallen.", game_time=812.5)
        await second.world_event("It rains.")
        check_equal(await said(first, "events"), '[["The north gate has fallen.",812.5]]')
        check_equal(await said(second, "events"), '[["The north gate has fallen.",812.5],["It rains.",null]]')


@case
async def set_state(at: Addresses) -> None:
    async with talking(at["zmq"], state={"trust": 40, "place": "market"}) as (_, talk):
        await talk.set_state({"trust": 45, "flags": {"met_guard": True}})
        expected = '{"flags":{"met_guard":true},"place":"market","trust":45}'
        check_equal(await said(talk, "state"), expected)
        check_equal(await code_of(talk.set_state({"trust": "high"})), "NPC309")
        check_equal(await said(talk, "state"), expected)


@case
async def set_controls(at: Addresses) -> None:
    async with talking(at["zmq"]) as (_, talk):
        now = await talk.set_controls({"max_words": 20, "synchrony": 1.0})
        check_equal((now.controls["max_words"], now.controls["role_play"]), (20, None))
        check_equal(now.in_force["world"]["max_words"], 20)
        check_equal(await said(talk, "controls"), '{"max_words":20,"synchrony":1.0}')
        check_equal((await talk.set_controls({"max_words": None})).controls["max_words"], None)
        check_equal(await code_of(talk.set_controls({"max_words": 1000})), "NPC316")
        check_equal(await code_of(talk.set_controls({"loudness": 1})), "NPC316")
        check_equal(await said(talk, "controls"), '{"synchrony":1.0}')
        turn = talk.say("wait")
        await first_token(turn)
        await talk.set_controls({"max_words": 9})
        check_equal((await turn.cancel()).finish_reason, "cancelled")
        check_equal(await said(talk, "controls"), '{"max_words":9,"synchrony":1.0}')


@case
async def say_options(at: Addresses) -> None:
    async with talking(at["zmq"]) as (_, talk):
        check_equal((await talk.say("controls", controls={"max_words": 8}).finish()).text, '{"max_words":8}')
        check_equal(await said(talk, "controls"), "{}")
        check_equal((await talk.say("seed", seed=4294967295).finish()).text, "4294967295")
        check_equal(await said(talk, "seed"), "null")
        check_equal(await code_of(talk.say("Hello.", controls={"max_words": 1000}).finish()), "NPC316")
        check_equal(await said(talk, "Still here."), "Still here.")


@case
async def undo(at: Addresses) -> None:
    async with talking(at["zmq"]) as (_, talk):
        check_equal(await code_of(talk.undo()), "NPC317")
        for line in ("One.", "Two.", "Three."):
            await said(talk, line)
        check_equal(await talk.undo(2), 1)
        check_equal(await said(talk, "turns"), '["One."]')
        turn = talk.say("wait")
        await first_token(turn)
        check_equal(await code_of(talk.undo()), "NPC304")
        check_equal((await turn.cancel()).finish_reason, "cancelled")
        await talk.close()
        check_equal(await code_of(talk.undo()), "NPC303")


@case
async def declare_actions(at: Addresses) -> None:
    properties = {"gate": {"type": "string"}}
    gate = {
        "name": "open_gate",
        "description": "Opens the gate.",
        "parameters": {"type": "object", "properties": properties},
    }
    async with talking(at["zmq"], declare_actions=[gate]) as (client, talk):
        check_equal(await said(talk, "declared"), '["open_gate"]')
        turn = talk.say("act sword")
        call = await anext(turn)
        check_equal((call.idempotency_key, call.cost), ("key-sword", 2.5))
        await talk.refuse(call, "not now")
        await turn.finish()
        wrong = client.open("mara", player_id="ada", declare_actions=[{"description": "?"}])
        check_equal(await code_of(wrong), "NPC315")


@case
async def health(at: Addresses) -> None:
    async with AsyncClient(at["zmq"]) as client:
        report = await client.health()
        check_equal(report.engine, {"model": "scripted", "provider": "none"})
        check(report.server["num_clients"] >= 1 and report.server["is_stopping"] is False, report.server)
        check("npc_scripted 1" in await client.metrics())
        times_us = []
        for _ in range(100 + NUM_ROUND_TRIPS):
            began = time.perf_counter()
            await client.health()
            times_us.append((time.perf_counter() - began) * 1e6)
    cuts = quantiles(times_us[-NUM_ROUND_TRIPS:], n=100)
    print(f"time round_trip_us {cuts[49]:.0f} {cuts[98]:.0f}")


@case
async def two_conversations_at_once(at: Addresses) -> None:
    async with talking(at["zmq"]) as (client, first):
        second = await client.open("tobin", player_id="ada")
        waiting = first.say("wait")
        await first_token(waiting)
        check_equal((await heard(second.say("Steel is dear.")))[-1][0], "Steel is dear.")
        check_equal(waiting.text, "Hm")
        await first.cancel()
        check_equal((await waiting.finish()).text, "Hm")


@case
async def slow_server(at: Addresses) -> None:
    async with talking(at["zmq"]) as (_, talk):
        turn = talk.say("slow")
        times = [time.monotonic() async for _event in turn]
        check_equal(turn.text, "a b c d e f g h i j")
    check(sum(after - before > 0.03 for before, after in itertools.pairwise(times)) >= 5, times)


@case
async def server_stall(at: Addresses) -> None:
    async with talking(at["zmq_faults"]) as (client, talk):
        turn = talk.say("fault stall")
        await first_token(turn)
        await asyncio.sleep(0.5)
        async with asyncio.timeout(FAULT_LIMIT_S):
            await client.health()
            check_equal((await turn.finish()).text, "Hm again.")


@case
async def server_restart(at: Addresses) -> None:
    async with talking(at["zmq_faults"]) as (client, talk):
        second = await client.open("tobin", player_id="ada")
        waiting, turn = second.say("wait"), talk.say("fault restart")
        async with asyncio.timeout(FAULT_LIMIT_S):
            check_equal(await code_of(turn.finish()), "NPC313")
            check_equal(await code_of(waiting.finish()), "NPC313")
        await reconnect(client)
        check(await code_of(talk_again(talk)) in ("NPC302", "NPC313"))
        again = await client.open("mara", player_id="ada")
        check_equal(await said(again, "Back again."), "Back again.")


async def talk_again(talk: AsyncConversation) -> str:
    return await said(talk, "Are you there?")


async def reconnect(client: AsyncClient) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(NpcEngineError):
                await client.connect()
                return


def fault_case(name: str, line: str, codes: tuple[str, ...], *, next_line: str = "") -> None:
    """A case where the turn ends with `Still here.` or, where `codes` are given, may fail with one of them."""

    async def run(at: Addresses) -> None:
        async with talking(at["zmq_faults"]) as (client, talk):
            outcome = None
            try:
                async with asyncio.timeout(FAULT_LIMIT_S):
                    events = await heard(talk.say(line))
            except NpcEngineError as error:
                outcome = error
                check(error.code in codes, error.code, str(error))
            else:
                check_equal(events, ["Still", " here.", (0, "Still here."), ("Still here.", "stop", "model", "fault")])
            if next_line:
                check_equal(len(await heard(talk.say(next_line))), 3)
            if outcome is not None and outcome.code == "NPC313":
                await reconnect(client)
            await client.health()

    run.__name__ = name
    case(run)


fault_case("unknown_kind_from_server", "fault unknown_kind", ("NPC203",))
fault_case("unknown_field_from_server", "fault unknown_field", ())
fault_case("reply_to_unknown_request", "fault unknown_request", ())
fault_case("replayed_reply", "fault replay", (), next_line="Next.")
fault_case("truncated_frame", "fault truncated", ("NPC201", "NPC202", "NPC313"))
fault_case("random_frame", "fault random", ("NPC201", "NPC202", "NPC203", "NPC206", "NPC313"))
fault_case("oversized_frame", "fault oversized", ("NPC201", "NPC202", "NPC206", "NPC313"))


@case
async def fragmented_tcp(at: Addresses) -> None:
    async with talking(at["zmq_fragmented"]) as (_, talk):
        check_equal(await heard(talk.say("Steel is dear. Buy now!")), TWO_SENTENCES)


@case
async def close_in_mid_turn(at: Addresses) -> None:
    async with talking(at["zmq"]) as (client, talk):
        turn = talk.say("wait")
        await first_token(turn)
        await talk.close()
        check_equal((await turn.finish()).finish_reason, "cancelled")
        check_equal(await code_of(talk_again(talk)), "NPC303")
        second = await client.open("mara", player_id="ada")
        open_turn = second.say("wait")
        await first_token(open_turn)
        began = time.monotonic()
        await client.close()
        check(time.monotonic() - began < 2)
        check(await code_of(open_turn.finish()) == "NPC313")
    async with talking(at["zmq_faults"]) as (_, talk):
        async with asyncio.timeout(FAULT_LIMIT_S):
            check_equal(await code_of(talk.say("fault hangup").finish()), "NPC313")


@case
async def start_stop_200(at: Addresses) -> None:
    before = None
    for number in range(200):
        async with AsyncClient(at["zmq"]) as client:
            await client.health()
            if number % 4 == 0:
                talk = await client.open("mara", player_id="ada")
                await first_token(talk.say("wait"))
        if number == 19:
            before = usage()
    after = usage()
    check(after[:2] == before[:2] and after[2] - before[2] < 20e6, before, after)


def usage() -> tuple[int, int, int]:
    """Threads, open descriptors and resident bytes of this process; -1 where the system does not tell."""
    descriptors, memory = Path("/proc/self/fd"), Path("/proc/self/statm")
    if not memory.exists():
        return threading.active_count(), -1, -1
    resident_bytes = int(memory.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return threading.active_count(), len(list(descriptors.iterdir())), resident_bytes


async def main(addresses: Addresses) -> int:
    """Run every case; 1 where one failed."""
    num_failed = 0
    for name, run in CASES.items():
        try:
            async with asyncio.timeout(CASE_LIMIT_S):
                await run(addresses)
            print(f"ok {name}", flush=True)
        # A runner reports whatever goes wrong.
        except Exception as error:
            num_failed += 1
            reason = " ".join(str(error).split())
            print(f"FAIL {name}: {type(error).__name__}: {reason}", flush=True)
    return int(num_failed > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(json.loads(sys.argv[1]))))
