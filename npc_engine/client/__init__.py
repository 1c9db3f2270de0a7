"""The Python game client, blocking and asyncio."""

from npc_engine.client.asynchronous import AsyncClient, AsyncConversation, AsyncTurn
from npc_engine.client.blocking import Client, Conversation, Turn
from npc_engine.client.curve import CurveKeys
from npc_engine.client.turn import DEFAULT_ADDRESS, ActionFailed, Event
from npc_engine.protocol.messages import ActionCall, ControlsSet, Sentence, Token, TurnEnd

__all__ = [
    "DEFAULT_ADDRESS",
    "ActionCall",
    "ActionFailed",
    "AsyncClient",
    "AsyncConversation",
    "AsyncTurn",
    "Client",
    "ControlsSet",
    "Conversation",
    "CurveKeys",
    "Event",
    "Sentence",
    "Token",
    "Turn",
    "TurnEnd",
]
