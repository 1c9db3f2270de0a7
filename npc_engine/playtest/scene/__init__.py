"""Several characters and a player in one place: who is addressed, who hears what, who speaks next."""

from npc_engine.playtest.scene.addressing import Addressed, address
from npc_engine.playtest.scene.members import Member, Reply, Round, SceneEvent, Utterance
from npc_engine.playtest.scene.scene import Scene

__all__ = ["Addressed", "Member", "Reply", "Round", "Scene", "SceneEvent", "Utterance", "address"]
