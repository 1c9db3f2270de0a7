"""What the turns of a talk draw by."""

from __future__ import annotations


def turn_seed(seed: int, turn: int) -> int:
    """The seed of a turn: another for each turn of a talk, the same in each run.

    Source: the multiplier of Knuth's multiplicative hashing, 2**32 divided by the golden ratio.
    """
    return (seed + turn * 2654435761) % (1 << 32)
