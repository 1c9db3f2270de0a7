"""A talk in the terminal, with one character or several: streaming, what each reply used, the game's part."""

from npc_engine.playtest.terminal.game import GameKind
from npc_engine.playtest.terminal.loop import talk
from npc_engine.playtest.terminal.words import parse_state

__all__ = ["GameKind", "parse_state", "talk"]
