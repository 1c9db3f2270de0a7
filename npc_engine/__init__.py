"""The NPC dialogue engine: local, grounded dialogue for game characters."""

__version__ = "0.1.0"
