"""Legal moves, and the names of illegal ones."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.errors import ConversationClosed, IllegalMessage, NpcEngineError, TurnInProgress, UnknownActionCall
from npc_engine.protocol.messages import REPLIES, REQUESTS
from npc_engine.protocol.turn_state import (
    CONNECTION,
    CONVERSATION,
    REFUSALS,
    ConnectionMoves,
    ConnectionState,
    ConversationMoves,
    ConversationState,
)

KINDS = sorted({*REQUESTS, *REPLIES, "dance"})


def test_hello_comes_first_and_once():
    moves = ConnectionMoves()
    with pytest.raises(IllegalMessage, match="'say' in state NEW"):
        moves.on("say")
    moves.on("hello")
    with pytest.raises(IllegalMessage):
        moves.on("hello")
    moves.on("say")
    moves.on("bye")
    with pytest.raises(IllegalMessage, match="nothing"):
        moves.on("hello")


def test_a_turn_with_an_action():
    moves = ConversationMoves()
    for kind in ("say", "token", "action_call", "action_result", "token", "sentence", "turn_end", "say", "error"):
        moves.on(kind)
    assert moves.state is ConversationState.IDLE


@pytest.mark.parametrize(
    ("path", "kind", "error"),
    [
        (["say"], "say", TurnInProgress),
        (["say", "action_call"], "say", TurnInProgress),
        ([], "action_result", UnknownActionCall),
        (["say", "token"], "action_result", UnknownActionCall),
        (["say"], "undo", TurnInProgress),
        (["say", "action_call"], "undo", TurnInProgress),
        (["close_conversation"], "undo", ConversationClosed),
        (["close_conversation"], "set_controls", ConversationClosed),
        (["close_conversation"], "say", ConversationClosed),
        (["say", "close_conversation"], "close_conversation", ConversationClosed),
        (["close_conversation", "conversation_closed"], "set_state", ConversationClosed),
        ([], "token", IllegalMessage),
        ([], "welcome", IllegalMessage),
    ],
)
def test_accidents_have_names(path, kind, error):
    moves = ConversationMoves()
    for step in path:
        moves.on(step)
    with pytest.raises(error) as caught:
        moves.on(kind)
    assert caught.value.hint


@given(st.lists(st.sampled_from(KINDS), max_size=40))
def test_a_refused_message_changes_nothing(kinds):
    for moves, table in ((ConnectionMoves(), CONNECTION), (ConversationMoves(), CONVERSATION)):
        for kind in kinds:
            before = moves.state
            if kind in table[before]:
                moves.on(kind)
                assert moves.state is table[before][kind]
            else:
                with pytest.raises(NpcEngineError):
                    moves.on(kind)
                assert moves.state is before


def test_the_tables_speak_of_real_kinds_and_reach_every_state():
    for table, first in ((CONNECTION, ConnectionState.NEW), (CONVERSATION, ConversationState.IDLE)):
        assert {kind for moves in table.values() for kind in moves} <= {*REQUESTS, *REPLIES}
        reached, waiting = {first}, [first]
        while waiting:
            for after in table[waiting.pop()].values():
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
        assert reached == set(table)
    for state, kind in REFUSALS:
        assert kind not in CONVERSATION[state]


def test_the_document_and_the_vectors_are_up_to_date():
    tool = Path(__file__).parents[2] / "tools" / "protocol_reference.py"
    done = subprocess.run(
        [sys.executable, tool, "--check"], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "run python tools/protocol_reference.py"
