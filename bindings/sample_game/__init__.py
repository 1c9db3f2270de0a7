"""A terminal village with three characters: what a game does with the engine, small enough to read whole."""
