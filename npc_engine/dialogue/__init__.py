"""One turn of dialogue, from the player's line to the committed reply."""
