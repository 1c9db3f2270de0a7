"""An MBTI label as Big Five scores, for sheets that have a label and no scores.

Each letter moves one factor: the one that its scale correlates with most. Source: McCrae and Costa 1989, Reinterpreting
the Myers-Briggs Type Indicator from the perspective of the five-factor model, men (n = 267); Furnham 1996, The big five
versus the big four, found the same four pairs. No scale stands for neuroticism.
"""

from __future__ import annotations

from statistics import NormalDist

# Position in the label, the letter that means more of it, the trait, and the correlation without its sign.
_PAIRS = (
    (0, "E", "extraversion", 0.74),
    (1, "N", "openness", 0.72),
    (2, "F", "agreeableness", 0.44),
    (3, "J", "conscientiousness", 0.49),
)
# Mean of a standard normal variable above its median: how far a letter alone says the scale is from its middle.
_MEAN_OF_HALF = (2 / 3.141592653589793) ** 0.5


def from_mbti(label: str) -> dict[str, float]:
    """The traits that a label speaks of, as the share of people who score lower, 0 to 1.

    A letter tells the side of a scale and nothing more. The trait expected on that side is the correlation times the
    mean of half a normal distribution, in standard deviations; the score is the share of people below.
    """
    normal = NormalDist()
    return {
        trait: normal.cdf((1 if label[position] == more else -1) * correlation * _MEAN_OF_HALF)
        for position, more, trait, correlation in _PAIRS
    }
