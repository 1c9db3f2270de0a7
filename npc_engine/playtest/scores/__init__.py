"""Scores of talks: checks of replies by strings, what each score counts, rates with their intervals."""
