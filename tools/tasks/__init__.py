"""Task dialogues: records of calls and replies, how they are run through the engine, and how they are scored."""
