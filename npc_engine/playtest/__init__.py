"""Playtesting: ordinary clients of the protocol that talk to characters, with no private door."""
