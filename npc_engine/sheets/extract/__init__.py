"""A first sheet from prose: sentences about one character become facts, each with its place in the text."""
